"use strict";
const slider = document.querySelector("#strength");
if (slider) {
  const parts = document.querySelectorAll("[data-level]");
  const show = () => {
    for (const part of parts) part.hidden = part.dataset.level !== slider.value;
    slider.setAttribute("aria-valuetext", document.querySelector("#strength-name :not([hidden])").textContent);
  };
  slider.addEventListener("input", show);
  slider.hidden = false;
  show();
}
