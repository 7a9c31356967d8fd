"""What `validate` and `prepare` ask of the masks of an annotation, beyond their form."""

from __future__ import annotations

from collections.abc import Iterator

from vatrack.common.counted import counted
from vatrack.common.json_types import Json
from vatrack.common.mask_forms import pixels_outside
from vatrack.common.mask_types import MASK_TYPES
from vatrack.data.fields import is_rate
from vatrack.data.joint.faults import JointFault, place_of

RATE_TOLERANCE = 0.0051  # rates of own data are often rounded to two decimals


def mask_faults(item: Json, compare: bool) -> Iterator[JointFault]:
    """What is wrong with the masks of an annotation.

    Args:
        item: with the masks it has as `{size, counts}`, sound, and their `area_TYPE` in pixels.
        compare: whether visible and amodal mask and the occlusion rate are compared, too.
    """
    place = place_of("annotations", item)
    types = [name for name in MASK_TYPES if f"{name}_mask" in item]
    if types and not item[f"area_{types[0]}"]:
        yield JointFault(
            "mask-empty",
            place,
            f"{types[0]}_mask has no pixel in the image; correct it, or remove the annotation",
        )
        return
    if not compare or len(types) < 2:
        return
    amodal, visible = item["area_amodal"], item["area_visible"]
    inner, outer = item["visible_mask"], item["amodal_mask"]
    # Equal codes, as of most objects, need no comparison of pixels.
    same = inner["counts"] == outer["counts"]
    if not same and (outside := pixels_outside(inner, outer, amodal)):
        yield JointFault(
            "visible-outside",
            place,
            f"visible_mask extends beyond amodal_mask by {counted(outside, 'pixel')}; correct one "
            "of them, or unite both with `vatrack import-dataset` (coco-amodal)",
            pixels=outside,
        )
    rate, expected = item.get("occlude_rate"), max(0.0, 1 - visible / amodal)
    if is_rate(rate) and abs(rate - expected) > RATE_TOLERANCE:
        yield JointFault(
            "rate-wrong",
            place,
            f"occlude_rate is {rate:g}, but {expected:.6g} by the masks; correct or remove it",
        )
