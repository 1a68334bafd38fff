"""The experiments by name, and the one whose defaults suit a network."""

from jaxae.experiments import cifar10_denoise, cifar10_reconstruct, mnist_denoise, photo_denoise
from jaxae.experiments.resolving import Experiment
from jaxae.networks import NETWORKS
from jaxae.registry import Registry

EXPERIMENTS: Registry[Experiment] = Registry("experiment")
for _module in (mnist_denoise, cifar10_denoise, cifar10_reconstruct, photo_denoise):
    EXPERIMENTS[_module.EXPERIMENT.name] = _module.EXPERIMENT


def experiment_for(network: str) -> Experiment:
    """Return the first experiment with `network`, or else with one that takes as many channels."""
    channels = NETWORKS[network].image_shape[2]
    alike = [each for each in EXPERIMENTS.values() if NETWORKS[each.network].image_shape[2] == channels]
    return next((each for each in alike if each.network == network), alike[0])
