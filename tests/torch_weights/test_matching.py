"""Which layer is which: by its key, its number in an `nn.Sequential`, its shapes, enc or dec in its name, or not."""

import numpy as np
import pytest

from jaxae import networks
from jaxae.errors import UserError
from jaxae.torch_weights.matching import match_keys
from tests.torch_weights.state_dicts import declared, named, sequential, state_dict_of

NAMES = ["cifar", "mnist"]
MNIST, CIFAR = state_dict_of("mnist"), state_dict_of("cifar")


def assert_matched(given: dict[str, np.ndarray], network: str) -> None:
    """Under the network's own keys, `given` holds the very arrays of its state dict."""
    state_dict = {"mnist": MNIST, "cifar": CIFAR}[network]
    matched = match_keys(given, networks.build(network, "xla"))
    assert list(matched) == list(state_dict)
    for key, array in state_dict.items():
        assert matched[key] is array, key


def prefixed(prefix: str, state_dict: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {f"{prefix}{key}": array for key, array in state_dict.items()}


@pytest.mark.parametrize("network", NAMES)
@pytest.mark.parametrize("order", [list, sorted])
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "model.", "net.", "model._orig_mod.", "decoder."])
@pytest.mark.parametrize("layout", [lambda state_dict: state_dict, sequential])
def test_keys_are_matched_whatever_stands_before_all_of_them(network, order, prefix, layout):
    given = prefixed(prefix, layout({"mnist": MNIST, "cifar": CIFAR}[network]))
    assert_matched({key: given[key] for key in order(given)}, network)


def test_a_compiled_part_is_no_other_part():
    assert_matched({key.replace(".", "._orig_mod.", 1): array for key, array in CIFAR.items()}, "cifar")


@pytest.mark.parametrize("names", [
    "enc1 enc2 dec1 dec2", "enc_a enc_b dec_a dec_b", "net.encoder1 net.encoder2 net.decoder1 net.decoder2",
    "Enc.0 Enc.1 Dec.0 Dec.1", "first encode decode last", "dec2.enc1 enc.x dec.y enc1.dec2",
])  # fmt: skip
def test_the_order_of_declaration_does_not_matter(names):
    given, (first, second, third, last) = named(CIFAR, names), names.split()
    assert_matched(given, "cifar")
    assert_matched(declared(given, f"{first} {third} {second} {last}"), "cifar")
    assert_matched(declared(given, f"{last} {third} {second} {first}"), "cifar")


def test_shapes_decide_where_they_can():
    assert_matched(dict(sorted(named(MNIST, "c b a up2 up1 up3").items())), "mnist")


UNCERTAIN = "names do not say which layer is which: in its keys, rename each"
OTHER = "its layers are not those of the network: name the network"


@pytest.mark.parametrize("given", [
    named(CIFAR, "one two three four"),  # declared in this order, which need not be that of execution
    named(CIFAR, "conv1 conv2 conv3 conv4"),  # nor need the numbers be
    named(CIFAR, "6 2 4 0"),  # the numbers of an `nn.Sequential`, but other shapes
    named(CIFAR, "a enc.dec dec.enc b"),  # names that say both
    named(MNIST, "enc1 enc2 dec3 dec1 dec2 enc3"),
    named(MNIST, "encoder.2 encoder.0 encoder.4 decoder.0 decoder.2 decoder.4"),  # the keys, but other shapes
])  # fmt: skip
def test_what_is_uncertain_is_refused(given):
    network = "cifar" if len(given) == len(CIFAR) else "mnist"
    with pytest.raises(UserError, match=UNCERTAIN):
        match_keys(given, networks.build(network, "xla"))


@pytest.mark.parametrize(("network", "given"), [
    ("mnist", CIFAR),
    ("mnist", dict(list(MNIST.items())[:-2])),
    ("mnist", MNIST | prefixed("ema.", MNIST)),
    ("cifar", CIFAR | prefixed("module.", CIFAR)),
    ("cifar", named(CIFAR, "a b c d") | named(CIFAR, "e f g h")),
    ("mnist", MNIST | {"norm.running_mean": np.zeros(3)}),
    ("mnist", {key: array for key, array in MNIST.items() if key != "encoder.0.bias"}),
    ("mnist", {"weight": np.zeros((4, 3)), "bias": np.zeros(4)}),
    ("mnist", {}),
])  # fmt: skip
def test_what_does_not_match_is_refused(network, given):
    with pytest.raises(UserError, match=OTHER):
        match_keys(given, networks.build(network, "xla"))


def test_a_refusal_sets_the_layers_side_by_side():
    with pytest.raises(UserError) as refusal:
        match_keys(named(CIFAR, "one two three four"), networks.build("cifar", "xla"))
    first, *rows = str(refusal.value).splitlines()
    assert first.endswith("(the network's | the file's)")
    assert rows == [
        "encoder.0: weight 8×3×3×3, bias 8 | one: weight 8×3×3×3, bias 8",
        "encoder.2: weight 8×8×3×3, bias 8 | two: weight 8×8×3×3, bias 8",
        "decoder.0: weight 8×8×3×3, bias 8 | three: weight 8×8×3×3, bias 8",
        "decoder.2: weight 8×3×3×3, bias 3 | four: weight 8×3×3×3, bias 3",
    ]
    with pytest.raises(UserError) as refusal:
        match_keys({f"layer{number}.weight": np.zeros(2) for number in range(500)}, networks.build("cifar", "xla"))
    assert str(refusal.value).splitlines()[-1].split() == ["|", "and", "486", "more"]
