"""The miniature set: synthetic videos in the raw layout of SAIL-VOS, with annotations.

<video>/images/%06d.bmp              images
<video>/visible/%06d.npy             int16 [H, W] map of object ids, 0 for the background
<video>/<objid>_<Model>/%06d.png     amodal mask 0 or 255, where the object reaches into the image
<video>/visible_objects.npy          the object ids of the video, 0 first
train.json, valid.json               the official annotations (spec 1.2)
"""

from __future__ import annotations

import filecmp
import io
import re
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vatrack.common.counted import counted
from vatrack.common.files import naming_full_disk, write_json
from vatrack.common.output_folders import atomic_directory, refuse_other_files
from vatrack.common.parallel import ordered_map
from vatrack.common.progress import progress
from vatrack.config.categories import CATEGORIES
from vatrack.config.dataset import SyntheticConfig

if TYPE_CHECKING:
    from vatrack.synthetic.plan import ObjectPlan

# As in the original, the category ids of the official JSON are not 1..24: the conversion has to
# renumber them.
CATEGORY_IDS: tuple[int, ...] = tuple(
    11 + 7 * label + label * label % 5 for label in range(len(CATEGORIES))
)
# A category that models may have but annotations do not (spec 1.2).
OUTSIDE_CATEGORY_ID = 3

_PREFIX = "mini"  # of the videos' names
# Names of the files that `render` writes; it replaces no others.
_OWN = re.compile(
    rf"{_PREFIX}_(train|valid)_\d{{3,}}/(images/\d{{6,}}\.bmp|visible/\d{{6,}}\.npy"
    r"|visible_objects\.npy|\d+_Mini_[^/]+/\d{6,}\.png)|(train|valid)\.json"
)


def video_names(settings: SyntheticConfig) -> dict[str, list[str]]:
    """Names of the videos by subset (train, valid), known without rendering anything."""
    counts = {"train": settings.train_videos, "valid": settings.valid_videos}
    return {
        subset: [f"{_PREFIX}_{subset}_{number:03d}" for number in range(count)]
        for subset, count in counts.items()
    }


@dataclass(frozen=True)
class Rendered:
    """What `render` has written: videos of so many raw frames, and their annotations in all."""

    out: Path
    videos: int
    frames: int
    annotations: int

    def __str__(self) -> str:
        return (
            f"rendered {counted(self.videos, 'video')} of {counted(self.frames, 'frame')} with "
            f"{counted(self.annotations, 'annotation')} into {self.out}"
        )


def render(out: Path, settings: SyntheticConfig, seed: int, processes: int = 1) -> Rendered:
    """Renders the whole set into folder `out`, or nothing.

    Args:
        out: folder to make; a set there is replaced if it is the same, so that nothing is lost.
        settings: sizes and counts.
        seed: with the same settings and seed every file is the same, for any number of processes.
        processes: videos rendered at a time.

    Raises:
        InputError: `out` holds something else: files of other names, or of another content, as
            those of a set with other settings.
    """
    out = Path(out)
    names = video_names(settings)
    tops = {*chain.from_iterable(names.values()), *(f"{subset}.json" for subset in names)}
    refuse_other_files(  # before the work, as far as names tell
        out, lambda path: path.parts[0] in tops and bool(_OWN.fullmatch(path.as_posix()))
    )
    with atomic_directory(out) as folder:
        jobs = [
            (folder, name, settings, seed, subset, number)
            for subset, subset_names in names.items()
            for number, name in enumerate(subset_names)
        ]
        rendered = ordered_map(_render_video, jobs, min(processes, len(jobs)), None)
        done = progress(rendered, "rendering videos", len(jobs))
        videos = {}
        for (_, name, *_), video in zip(jobs, done, strict=True):
            videos[name] = video
            _refuse_changed(out / name, folder / name)
        for subset, subset_names in names.items():
            official = _official({name: videos[name] for name in subset_names})
            write_json(folder / f"{subset}.json", official)
        _refuse_changed(out, folder)
    annotations = sum(
        len(frame["objects"]) for video in videos.values() for frame in video["frames"]
    )
    return Rendered(out, len(jobs), settings.frames, annotations)


def _refuse_changed(earlier: Path, rendered: Path) -> None:
    """Keeps files that were changed, added, or rendered with other settings."""

    def same(path: Path) -> bool:
        new = rendered / path
        return new.is_file() and filecmp.cmp(earlier / path, new, shallow=False)

    refuse_other_files(earlier, same, "which is not what these settings render")


def _render_video(job: tuple[Path, str, SyntheticConfig, int, str, int], _: None) -> dict[str, Any]:
    """Writes the files of one video; returns its annotations without ids of the subset."""
    import numpy as np

    from vatrack.common.images import write_image
    from vatrack.sailvos.annotate.masks import count_ids, describe_object
    from vatrack.sailvos.layout import FRAMES_AFTER, FRAMES_BEFORE
    from vatrack.synthetic.frames import draw_frames
    from vatrack.synthetic.scene import plan_video

    root, name, settings, seed, subset, number = job
    plan = plan_video(settings, seed, subset, number)
    video = root / name
    for name in ("images", "visible"):
        (video / name).mkdir(parents=True)
    for planned in plan.objects:
        _mask_folder(video, planned).mkdir()
    ids = [0, *(planned.obj_id for planned in plan.objects)]
    _save_array(video / "visible_objects.npy", np.array(ids, np.int16))

    frames = []
    for index, frame in enumerate(draw_frames(plan, settings.width, settings.height)):
        write_image(video / "images" / f"{index:06d}.bmp", frame.image)
        _save_array(video / "visible" / f"{index:06d}.npy", frame.ids)
        annotated = FRAMES_BEFORE <= index < settings.frames - FRAMES_AFTER
        # SAIL-VOS annotates only objects of which something is seen.
        seen, objects = count_ids(frame.ids) if annotated else {}, []
        for item in frame.objects:
            mask = np.zeros(frame.ids.shape, np.uint8)
            mask[item.window] = 255 * item.mask.view(np.uint8)
            write_image(_mask_folder(video, item.plan) / f"{index:06d}.png", mask)
            obj_id, label = item.plan.obj_id, item.plan.label
            if obj_id in seen:
                fields = describe_object(frame.ids, obj_id, seen[obj_id], mask)[0]
                model_id = label * 10 + item.plan.model
                identity = {"obj_id": obj_id, "model_id": model_id}
                objects.append({"category_id": CATEGORY_IDS[label], **identity, **fields})
        if annotated:
            number = index - FRAMES_BEFORE
            frames.append({"file": f"{index:06d}.bmp", "frame_id": number, "objects": objects})
    return {
        "frames": frames,
        "objects": len(plan.objects),
        "width": settings.width,
        "height": settings.height,
    }


def _save_array(path: Path, values: Any) -> None:
    """Writes an .npy file; `np.save` into a file would not tell why it could not."""
    import numpy as np

    content = io.BytesIO()
    np.save(content, values)
    with naming_full_disk(path):
        path.write_bytes(content.getvalue())


def _mask_folder(video: Path, plan: ObjectPlan) -> Path:
    return video / f"{plan.obj_id}_{model_name(plan.label, plan.model)}"


def model_name(label: int, model: int) -> str:
    """Name of a 3-D model and of its masks' folder; people have `_Ped_` in it, as in SAIL-VOS."""
    name = "".join(word.capitalize() for word in CATEGORIES[label].split())
    return f"Mini_Ped_{model:02d}" if CATEGORIES[label] == "person" else f"Mini_{name}_{model:02d}"


def _official(rendered: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The official JSON of a subset; ids count from 0 over all its videos, as in the original.

    Args:
        rendered: what `_render_video` returns, by name of the video.
    """
    from vatrack.synthetic.plan import MODELS_PER_CLASS

    categories = [
        {"id": CATEGORY_IDS[label], "name": name, "supercategory": name}
        for label, name in enumerate(CATEGORIES)
    ]
    models = [
        {
            "id": label * 10 + model,
            "name": model_name(label, model),
            "category_id": CATEGORY_IDS[label],
        }
        for label in range(len(CATEGORIES))
        for model in range(MODELS_PER_CLASS)
    ]
    models.append(
        {"id": len(CATEGORIES) * 10, "name": "Mini_Outside_00", "category_id": OUTSIDE_CATEGORY_ID}
    )
    videos: list[dict[str, Any]] = []
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    instances: dict[tuple[str, int], int] = {}
    for video_id, (name, video) in enumerate(rendered.items()):
        counts = {"num_frames": len(video["frames"]), "num_objs": video["objects"]}
        videos.append({"id": video_id, "name": name, "vid_name": name, **counts})
        for frame in video["frames"]:
            image = {
                "id": len(images),
                "video_id": video_id,
                "file_name": f"{name}/images/{frame['file']}",
                "frame_id": frame["frame_id"],
                "width": video["width"],
                "height": video["height"],
            }
            for item in frame["objects"]:
                instance = instances.setdefault((name, item["obj_id"]), len(instances))
                identity = {
                    "id": len(annotations),
                    "image_id": image["id"],
                    "instance_id": instance,
                }
                annotations.append({**identity, **item})
            images.append(image)
    return {
        "categories": categories,
        "models": models,
        "videos": videos,
        "images": images,
        "annotations": annotations,
    }
