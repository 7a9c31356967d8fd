"""Random official annotations with a clip dictionary, and what regrouping makes of them,
written as plainly as it goes."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from hypothesis import strategies as st

from tests.sailvos.official import annotation, official

Json = dict[str, Any]


def plainly_regrouped(structure: dict[str, list[str]], data: Json) -> Json:
    """Spec 1.3 word by word, with a search through everything at every step."""
    found: Json = {"videos": [], "images": [], "annotations": []}
    instances = 0
    for video in data["videos"]:
        clips = []
        for clip, files in structure.items():
            if clip.split("__")[0] == video["name"]:
                numbers = [file.split(".")[0] for file in files]
                frames = [
                    i
                    for i in data["images"]
                    if i["file_name"] in [f"{video['name']}/images/{n}.bmp" for n in numbers]
                ]
                clips.append((clip, sorted(frames, key=lambda image: image["frame_id"])))
        for clip, frames in sorted(clips, key=lambda item: item[1][0]["frame_id"]):
            number = len(found["videos"]) + 1
            size = {"width": frames[-1]["width"], "height": frames[-1]["height"]}
            entry = {"id": number, "name": clip, **size, "num_frames": len(frames)}
            found["videos"].append(
                entry if "__" in clip else {**entry, "num_objs": video["num_objs"]}
            )
            for place, image in enumerate(frames):
                file = image["file_name"].split("/")[2]
                frame_id = place if "__" in clip else image["frame_id"]
                moved = {
                    "video_id": number,
                    "file_name": f"{clip}/images/{file}",
                    "frame_id": frame_id,
                }
                found["images"].append({**image, **moved})
            known: dict[int, int] = {}
            for image in sorted(frames, key=lambda image: image["id"]):
                for item in data["annotations"]:
                    if item["image_id"] == image["id"]:
                        identity = (
                            item.get("instance_id", item["obj_id"])
                            if "__" in clip
                            else item["obj_id"]
                        )
                        if identity not in known:
                            instances += 1
                            known[identity] = instances
                        kept = {key: value for key, value in item.items() if key != "extra"}
                        found["annotations"].append(
                            {**kept, "video_id": number, "instance_id": known[identity]}
                        )
    return found


@st.composite
def subsets(draw: st.DrawFn) -> tuple[dict[str, list[str]], Json]:
    """A clip dictionary and annotations that fit together, everything in any order and under
    any numbers."""
    data: Json = {**official({}), "videos": [], "images": [], "annotations": []}
    structure: dict[str, list[str]] = {"other__9": ["000003.bmp"], "other": ["000003.bmp"]}
    names = draw(st.lists(st.sampled_from(["a", "b", "ab", "a_b", "c"]), unique=True, max_size=4))
    numbers = st.integers(-(2**40), 2**40) | st.integers(-3, 30)
    for place, name in enumerate(names):
        length = draw(st.integers(0, 6))
        data["videos"].append({"id": draw(st.integers(0, 2)), "name": name, "num_objs": place})
        frame_ids = draw(
            st.lists(st.integers(0, 50), unique=True, min_size=length, max_size=length).map(sorted)
        )
        used = draw(st.lists(st.booleans(), min_size=length, max_size=length))
        for k, frame_id in enumerate(frame_ids):
            sides = {"width": draw(st.integers(1, 3)), "height": draw(st.integers(1, 3))}
            image = {
                "file_name": f"{name}/images/{k:06d}.bmp",
                "frame_id": frame_id,
                "video_id": place,
                **sides,
            }
            data["images"].append(image)
        bounds = (
            sorted({0, length, *draw(st.lists(st.integers(0, length), max_size=3))})
            if draw(st.booleans())
            else None
        )
        for start, stop in [(0, length)] if bounds is None else pairwise(bounds):
            files = [
                f"{k:06d}{draw(st.sampled_from(['.bmp', '.png']))}"
                for k in range(start, stop)
                if used[k]
            ]
            if files:
                structure[name if bounds is None else f"{name}__{stop}"] = draw(
                    st.permutations(files)
                )
    ids = draw(
        st.lists(numbers, unique=True, min_size=len(data["images"]), max_size=len(data["images"]))
    )
    for image, number in zip(data["images"], ids, strict=True):
        image["id"] = number
    in_clips = {
        f"{clip.split('__')[0]}/{file.split('.')[0]}"
        for clip, files in structure.items()
        for file in files
    }
    annotated = [
        i for i in data["images"] if i["file_name"].replace("/images", "").split(".")[0] in in_clips
    ]
    if annotated:
        chosen = draw(st.lists(st.sampled_from([image["id"] for image in annotated]), max_size=25))
        ids = draw(st.lists(numbers, unique=True, min_size=len(chosen), max_size=len(chosen)))
        for number, image_id in zip(ids, chosen, strict=True):
            item = annotation(0, image_id, draw(st.integers(-2, 3) | numbers), 0.5)
            item.update(id=number, instance_id=draw(st.integers(-2, 3) | numbers), extra="left out")
            if draw(st.booleans()):
                del item["instance_id"]
            data["annotations"].append(item)
    for key in ("videos", "images"):
        data[key] = draw(st.permutations(data[key]))
    shuffled = draw(st.permutations(list(structure.items())))
    return dict(shuffled), data
