"""The networks in PyTorch, the first two as the original programs define them: the reference for quality and speed."""

import itertools

from torch import nn


class MnistDenoiser(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 16, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, 64, 5),
            nn.ReLU(),
        )
        self.decoder = nn.Sequential(
            nn.ConvTranspose2d(64, 32, 5),
            nn.ReLU(),
            nn.ConvTranspose2d(32, 16, 3, stride=2, padding=1, output_padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(16, 1, 3, stride=2, padding=1, output_padding=1),
            nn.Sigmoid(),
        )

    def forward(self, x):
        return self.decoder(self.encoder(x))


class CifarAutoencoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU())
        self.decoder = nn.Sequential(nn.ConvTranspose2d(8, 8, 3), nn.ReLU(), nn.ConvTranspose2d(8, 3, 3), nn.Sigmoid())

    def forward(self, x):
        return self.decoder(self.encoder(x))


class PhotoDenoiser(nn.Module):
    def __init__(self, channels: int = 3):
        super().__init__()
        widths = [4 * channels, 40, 40, 40, 40, 40, 4 * channels]
        for number, (before, after) in enumerate(itertools.pairwise(widths)):
            setattr(self, f"layers_{number}", nn.Conv2d(before, after, 3, padding=1))

    def forward(self, x):
        # ours has the channels last in a block, PyTorch's (un)shuffle has them first
        n, c, h, w = x.shape
        blocks = x.reshape(n, c, h // 2, 2, w // 2, 2).permute(0, 3, 5, 1, 2, 4).reshape(n, 4 * c, h // 2, w // 2)
        *layers, last = self.children()
        for layer in layers:
            blocks = nn.functional.relu(layer(blocks))
        added = last(blocks).reshape(n, 2, 2, c, h // 2, w // 2).permute(0, 3, 4, 1, 5, 2)
        return x + added.reshape(n, c, h, w)


class GreyPhotoDenoiser(PhotoDenoiser):
    def __init__(self):
        super().__init__(1)


NETWORKS = {"mnist": MnistDenoiser, "cifar": CifarAutoencoder, "photo": PhotoDenoiser, "photo_grey": GreyPhotoDenoiser}
