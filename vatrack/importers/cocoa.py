"""COCOA: one annotation an image, with regions that have names in free words."""

from __future__ import annotations

from collections.abc import Iterator

from vatrack.common.counted import counted
from vatrack.common.errors import InputError
from vatrack.common.json_types import Json
from vatrack.data.fields import is_flag, shown
from vatrack.importers.dataset import FIX, Dataset, Object, Settings, categories
from vatrack.importers.listed import Lists, read_all


def read(settings: Settings) -> Dataset:
    """Reads files with `regions`.

    They have no class ids, and some 2,000 different names: the classes are `object` and `stuff`, by
    `isStuff`; the name stays in `region_name`. Of several authors of an image the first is taken.
    """
    lists = read_all(settings, _classes)
    lacks = "each image becomes a video of one frame; classes are object and stuff"
    return lists.dataset(
        _objects(lists), lacks=f"tracks and classes ({lacks})", whole_if_absent=True
    )


def _classes() -> list[Json]:
    return categories({1: "object", 2: "stuff"})


def _objects(lists: Lists) -> Iterator[Object]:
    again = 0
    seen: set[int] = set()
    for where, item, image in lists.annotations():
        regions = item.get("regions")
        if not isinstance(regions, list):
            raise InputError(
                f"{where}: has no list `regions`; import files with one object per annotation "
                "with --from coco-amodal"
            )
        if image["id"] in seen:
            again += 1
            continue
        seen.add(image["id"])
        for number, region in enumerate(regions, 1):
            name = f"{where}: region {number}"
            if not isinstance(region, dict):
                raise InputError(f"{name} is {shown(region)}, not a JSON object; {FIX}")
            stuff = region.get("isStuff", 0)
            if not is_flag(stuff):
                raise InputError(f"{name}: isStuff is {shown(stuff)}; must be 0 or 1")
            yield Object(
                name,
                image,
                2 if stuff else 1,
                amodal=region.get("segmentation"),
                visible=region.get("visible_mask"),
                hidden=region.get("invisible_mask"),
                fields={"region_name": region.get("name"), "order": region.get("order")},
            )
    if again:
        lists.notes.append(
            f"skipped {counted(again, 'annotation')} of the same images by other annotators"
        )
