"""TAO-Amodal: amodal boxes of tracks. Masks are rectangles, cut off at the border of the image."""

from __future__ import annotations

from collections.abc import Iterator

from vatrack.common.errors import InputError
from vatrack.data.fields import is_box, is_rate, rate, shown
from vatrack.importers.listed import Lists, read_all
from vatrack.importers.records import FIX, Dataset, Json, Object, Settings, required

EXTRA = ("visibility", "out_of_frame", "amodal_is_uncertain")


def read(settings: Settings) -> Dataset:
    """Reads files with `amodal_bbox`; the exact box stays in `bbox_amodal`."""
    lists = read_all(settings)
    return Dataset(
        lists.categories,
        lists.frames.videos,
        lists.frames.images,
        _objects(lists),
        whole_if_absent=False,
        lacks="all masks: amodal masks are the amodal boxes, cut off at the border (evaluate boxes "
        "and box tracking alone); occlusion rates are 1 - `visibility`",
        notes=lists.notes,
    )


def _objects(lists: Lists) -> Iterator[Object]:
    without = 0
    for source in lists.sources:
        for where, item in source.annotations():
            image, box = source.image_of(item, where), item.get("amodal_bbox")
            if box is None:
                without += 1
                continue
            for key, value in (("amodal_bbox", box), ("bbox", item.get("bbox"))):
                if value is not None and not is_box(value):
                    raise InputError(
                        f"{where}: {key} is {shown(value)}; four numbers x, y, width, height are "
                        f"needed; {FIX}"
                    )
            fields = {key: item[key] for key in EXTRA if key in item}
            visibility = item.get("visibility")
            if visibility is not None:
                if not is_rate(visibility):
                    raise InputError(
                        f"{where}: visibility is {shown(visibility)}; a number from 0 to 1 is "
                        f"needed; {FIX}"
                    )
                fields["occlude_rate"] = 1 - rate(visibility)
            if item.get("bbox") is not None:
                fields["bbox_visible"] = item["bbox"]
            yield Object(
                where,
                image,
                required(item, "category_id", where),
                track=required(item, "track_id", where),
                amodal=_rectangle(box, image),
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
        lists.notes.append(f"{without} annotations without amodal_bbox are left out")


def _rectangle(box: list[float], image: Json) -> Json | None:
    """The pixels of a box that are in the image, edges rounded; None where there is none."""
    height, width = image["height"], image["width"]
    left, right = (min(max(round(x), 0), width) for x in (box[0], box[0] + box[2]))
    top, bottom = (min(max(round(y), 0), height) for y in (box[1], box[1] + box[3]))
    if left >= right or top >= bottom:
        return None
    runs = [left * height + top]
    for _ in range(right - left - 1):
        runs += [bottom - top, height - (bottom - top)]
    runs += [bottom - top, (width - right + 1) * height - bottom]
    return {"size": [height, width], "counts": runs}
