"""Which layer is which: by shapes, by what the names say of encoder and decoder, by their numbers, or not at all."""

import numpy as np
import pytest

from jaxae import models
from jaxae.errors import UserError
from jaxae.torch_weights.matching import originals_names, sides
from tests.torch_weights.state_dicts import declared, named, sequential, state_dict_of

NAMES = sorted(models.MODELS)


def assert_matched(given: dict[str, np.ndarray], model: str, state_dict: dict[str, np.ndarray], ordered: bool) -> None:
    """Under the originals' keys, `given` holds the very arrays of `state_dict`."""
    matched = originals_names(given, model, ordered)
    assert list(matched) == list(state_dict)
    for key, array in state_dict.items():
        assert matched[key] is array, key


@pytest.mark.parametrize("model", NAMES)
@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("wrap", [
    lambda state_dict: state_dict,
    lambda state_dict: {f"module.{key}": array for key, array in state_dict.items()},
    sequential,
    lambda state_dict: {f"net.{key}": array for key, array in sequential(state_dict).items()},
    # what stands in all keys says nothing
    lambda state_dict: {f"decoder.{key}": array for key, array in state_dict.items()},
    lambda state_dict: {f"net.upscaler.{key}": array for key, array in sequential(state_dict).items()},
])  # fmt: skip
def test_keys_are_matched_whatever_stands_before_them(model, ordered, wrap):
    state_dict = state_dict_of(model)
    given = wrap(state_dict)
    if not ordered:
        given = dict(sorted(given.items(), reverse=True))
    assert_matched(given, model, state_dict, ordered)


@pytest.mark.parametrize("names", [
    "enc1 enc2 dec1 dec2",
    "enc_a enc_b dec_a dec_b",
    "net.encoder1 net.encoder2 net.decoder1 net.decoder2",
    "downConv1 downConv2 upConv1 upConv2",
    "down.0 down.1 up.0 up.1",
    "conv1 conv2 deconv1 deconv2",
    "conv1 conv2 t_conv1 t_conv2",
    "conv1 conv2 convT1 convT2",
    "conv1 conv2 conv_transpose1 conv_transpose2",
    "first encode decode last",
    "first second decode last",  # what is left over goes where there is room
    "conv1 conv2 conv3 conv4",
    "a.0 enc.x a.1 out",
])  # fmt: skip
@pytest.mark.parametrize("ordered", [True, False])
def test_the_order_of_declaration_does_not_matter(names, ordered):
    state_dict = state_dict_of("cifar")
    given, (first, second, third, last) = named(state_dict, names), names.split()
    assert_matched(given, "cifar", state_dict, ordered)
    if names != "conv1 conv2 conv3 conv4" or not ordered:
        assert_matched(declared(given, f"{first} {third} {second} {last}"), "cifar", state_dict, ordered)
        assert_matched(declared(given, f"{last} {third} {second} {first}"), "cifar", state_dict, ordered)


def test_shapes_decide_where_they_can():
    mnist = state_dict_of("mnist")
    given = dict(sorted(named(mnist, "c b a up2 up1 up3").items()))
    assert_matched(given, "mnist", mnist, ordered=False)
    assert_matched(given, "mnist", mnist, ordered=True)


@pytest.mark.parametrize(("name", "said"), [
    ("encoder", ("encoder",)), ("enc1", ("encoder",)), ("myEncoder", ("encoder",)), ("down_2", ("encoder",)),
    ("decoder", ("decoder",)), ("dec-2", ("decoder",)), ("up", ("decoder",)), ("upsample1", ("decoder",)),
    ("Upconv", ("decoder",)), ("tconv3", ("decoder",)), ("convt", ("decoder",)), ("convTranspose2d", ("decoder",)),
    ("conv1", ()), ("0", ()), ("autoencoder", ()), ("update", ()), ("group", ()), ("out_conv", ()), ("last_conv", ()),
    ("transition", ()), ("convtiny", ()), ("indec", ()), ("encoder_decoder", ("encoder", "decoder")),
])  # fmt: skip
def test_what_a_name_says(name, said):
    assert sides(name) == said


def crossed(names: str, order: str) -> dict[str, np.ndarray]:
    return declared(named(state_dict_of("cifar"), names), order)


RENAME = "names do not say which runs first: rename them, .* encoder.2 and decoder.0"


@pytest.mark.parametrize(("given", "ordered"), [
    (crossed("one two three four", "one two three four"), True),  # declared in this order, which need not be running's
    (crossed("conv1 conv2 out1 out2", "conv1 conv2 out1 out2"), True),
    (crossed("conv1 conv2 out1 out2", "conv1 conv2 out1 out2"), False),
    (crossed("0 4 2 6", "0 4 2 6"), True),  # the numbers say one thing, the order another
    (crossed("conv4 conv2 conv3 conv1", "conv1 conv2 conv3 conv4"), True),  # numbered, but not in running's order
    (crossed("a enc.up dec.down b", "a enc.up dec.down b"), True),  # names that say both
])  # fmt: skip
def test_what_is_uncertain_is_refused(given, ordered):
    with pytest.raises(UserError, match=RENAME) as refusal:
        originals_names(given, "cifar", ordered)
    assert "\n" not in str(refusal.value)


MNIST, CIFAR = state_dict_of("mnist"), state_dict_of("cifar")
SECOND = {"b2.weight": CIFAR["encoder.2.weight"], "b2.bias": CIFAR["encoder.2.bias"]}


@pytest.mark.parametrize(("model", "given", "message"), [
    ("mnist", CIFAR, "no state dict of the mnist network: .* it fits --model cifar"),
    ("mnist", dict(list(MNIST.items())[:-2]), "decoder.4 with weight 16×1×3×3 .* is missing"),
    ("mnist", MNIST | {f"ema.{key}": array for key, array in MNIST.items()}, "one too many: .* leave one out"),
    ("cifar", named(CIFAR, "a b c d") | named(CIFAR, "e f g h"), "one too many: .* leave one out"),
    ("cifar", named(CIFAR, "a b up d") | SECOND, "'b2' is one too many: 'b' and 'up' took its place"),
    ("mnist", MNIST | {"norm.running_mean": np.zeros(3)}, "'norm.running_mean' is neither .* without it"),
    ("mnist", {key: array for key, array in MNIST.items() if key != "encoder.0.bias"}, "has no bias"),
    ("mnist", {"weight": np.zeros((4, 3)), "bias": np.zeros(4)}, "no state dict of the mnist network"),
    ("mnist", {}, "encoder.0 with .* is missing"),
    ("mnist", named(MNIST, "enc1 enc2 dec3 dec1 dec2 enc3"), "'dec3' .* in its decoder, of which the name"),
])  # fmt: skip
def test_what_does_not_match_is_refused(model, given, message):
    with pytest.raises(UserError, match=message) as refusal:
        originals_names(given, model, ordered=True)
    assert "\n" not in str(refusal.value)
