"""The gradient of RoIAlign on a CPU, by matrix products.

RoIAlign's bilinear weights are products of one weight for the row and one for the column, so the
features of a region are R F C', where R (size, rows) and C (size, columns) hold the mean weights of
each bin's samples, and the gradient with respect to the map is R' G C in the window that the region
reads. torchvision computes every weight anew for every channel and sample, which takes several
times as long; its results differ by rounding alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

NUMBERS = 1 << 21  # in the largest product of the regions that are computed together: 8 MB


def features_gradient(gradient: Tensor, regions: Tensor, shape: torch.Size, scale: float) -> Tensor:
    """The gradient of torchvision's `roi_align(..., sampling_ratio=0, aligned=True)`.

    Args:
        gradient: with respect to its output, float32 (k, channels, size, size); k may be 0.
        regions: (k, 5), index of the image and corners in pixels of the network's input.
        shape: of the map (n, channels, height, width); `scale`: its pixels to one of the input.

    Returns:
        With respect to the map; in memory the channels come last.
    """
    images, channels, height, width = shape
    total = gradient.new_zeros(images, height, width, channels)
    if not len(regions):
        return total.permute(0, 3, 1, 2)
    size = gradient.shape[-1]
    rows = _axis(regions[:, 2], regions[:, 4], scale, size, height)
    columns = _axis(regions[:, 1], regions[:, 3], scale, size, width)
    of_bins = gradient.permute(0, 2, 3, 1)
    extents = list(
        zip(
            regions[:, 0].long().tolist(),
            rows.first.tolist(),
            rows.count.tolist(),
            columns.first.tolist(),
            columns.count.tolist(),
            strict=True,
        )
    )
    for group in _together([(extent[2], extent[4]) for extent in extents], size, channels):
        high = max(extent[2] for extent in extents[group])
        wide = max(extent[4] for extent in extents[group])
        by_row = rows.weights[group, :, :high].transpose(1, 2)
        by_column = columns.weights[group, :, :wide].transpose(1, 2)
        bins = of_bins[group].reshape(-1, size, channels)
        strips = torch.bmm(by_column.repeat_interleave(size, dim=0), bins)
        windows = torch.bmm(by_row, strips.view(len(by_row), size, -1))
        windows = windows.view(-1, high, wide, channels)
        for window, (image, top, down, left, across) in zip(windows, extents[group], strict=True):
            total[image, top : top + down, left : left + across] += window[:down, :across]
    return total.permute(0, 3, 1, 2)


@dataclass(frozen=True)
class _Axis:
    """How the bins of regions read a map along one axis.

    Attributes:
        first, count: (k,), the window; at least one pixel.
        weights: (k, size, longest window).
    """

    first: Tensor
    count: Tensor
    weights: Tensor


def _axis(start: Tensor, end: Tensor, scale: float, size: int, length: int) -> _Axis:
    """From the corners of regions (k,) along an axis on which the map has `length` pixels."""
    start, end = start * scale - 0.5, end * scale - 0.5
    bin_size = (end - start) / size
    samples = bin_size.ceil().clamp(min=0)
    number = torch.arange(max(1, int(samples.max())), device=start.device)
    bins = torch.arange(size, device=start.device)
    # In float32 and in torchvision's order, so that no sample falls on another side of a border.
    within = (number + 0.5) * bin_size[:, None] / samples.clamp(min=1)[:, None]
    at = (start[:, None] + bins * bin_size[:, None])[:, :, None] + within[:, None]
    valid = (number < samples[:, None])[:, None] & (at >= -1) & (at <= length)
    at = at.clamp(0, length - 1)
    low = at.long()
    high = (low + 1).clamp(max=length - 1)
    above = at - low
    share = valid / samples.clamp(min=1)[:, None, None]
    first = torch.where(valid, low, length - 1).amin((1, 2))
    count = torch.where(valid, high, first[:, None, None]).amax((1, 2)) - first + 1
    weights = at.new_zeros(len(start), size, int(count.max()))
    for pixel, weight in ((low, 1 - above), (high, above)):
        index = torch.where(valid, pixel - first[:, None, None], 0)
        weights.scatter_add_(2, index, weight * share)
    return _Axis(first, count, weights)


def _together(sizes: list[tuple[int, int]], size: int, channels: int) -> Iterator[slice]:
    """Runs of regions whose products have at most `NUMBERS` numbers each; at least one region.

    The windows are all as large as the largest. The strips have a row for each of the `size` bins
    instead, which are more than the window's rows where regions are flat.

    Args:
        sizes: of the windows, rows and columns.
    """
    begin, high, wide = 0, size, 0
    for index, (down, across) in enumerate(sizes):
        taller, wider = max(high, down), max(wide, across)
        if index > begin and (index + 1 - begin) * taller * wider * channels > NUMBERS:
            yield slice(begin, index)
            begin, taller, wider = index, max(size, down), across
        high, wide = taller, wider
    yield slice(begin, len(sizes))
