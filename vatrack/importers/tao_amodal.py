"""TAO-Amodal: amodal boxes of tracks. Masks are rectangles, cut off at the border of the image."""

from __future__ import annotations

from collections.abc import Iterator

from vatrack.common.counted import counted
from vatrack.common.errors import InputError
from vatrack.common.mask_forms import rectangle
from vatrack.data.fields import is_box, is_rate, rate, shown
from vatrack.importers.dataset import FIX, Dataset, Object, Settings, required
from vatrack.importers.listed import Lists, read_all

EXTRA = ("visibility", "out_of_frame", "amodal_is_uncertain")


def read(settings: Settings) -> Dataset:
    """Reads files with `amodal_bbox`; the exact box stays in `bbox_amodal`."""
    lists = read_all(settings)
    return lists.dataset(
        _objects(lists),
        lacks="masks (amodal masks are the amodal boxes, clipped at the border; evaluate only "
        "boxes and box tracking; occlusion rates are 1 - `visibility`)",
    )


def _objects(lists: Lists) -> Iterator[Object]:
    without = 0
    for where, item, image in lists.annotations():
        box = item.get("amodal_bbox")
        if box is None:
            without += 1
            continue
        for key, value in (("amodal_bbox", box), ("bbox", item.get("bbox"))):
            if value is not None and not is_box(value):
                raise InputError(
                    f"{where}: {key} is {shown(value)}; must be four numbers x, y, width, "
                    f"height; {FIX}"
                )
        fields = {key: item[key] for key in EXTRA if key in item}
        visibility = item.get("visibility")
        if visibility is not None:
            if not is_rate(visibility):
                raise InputError(
                    f"{where}: visibility is {shown(visibility)}; must be a number from 0 to "
                    f"1; {FIX}"
                )
            fields["occlude_rate"] = 1 - rate(visibility)
        if item.get("bbox") is not None:
            fields["bbox_visible"] = item["bbox"]
        size = [image["height"], image["width"]]
        counts = rectangle(box, size)
        yield Object(
            where,
            image,
            required(item, "category_id", where),
            track=required(item, "track_id", where),
            amodal=None if counts is None else {"size": size, "counts": counts.decode()},
            crowd=item.get("iscrowd", 0),
            fields={
                "source_id": required(item, "id", where),
                "track_id": item["track_id"],
                "bbox": box,
                "bbox_amodal": box,
                **fields,
            },
        )
    if without:
        lists.notes.append(f"skipped {counted(without, 'annotation')} without amodal_bbox")
