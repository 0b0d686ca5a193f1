"""What `streamcount count` was given, as runs of frames: stills in a row, stacks, videos."""

from __future__ import annotations

import glob
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import typer

from streamcount.cli._rows import by_numbers, frame_numbers, gap_remark, order_remark
from streamcount.errors import SourceError, StreamcountError
from streamcount.sources.base import Run
from streamcount.sources.folder import list_images
from streamcount.sources.images import (
    JPEG_SUFFIXES,
    is_image_name,
    is_tiff_name,
    natural_key,
    natural_path_key,
    read_still,
)
from streamcount.sources.recording import FILE_CAMERA_ID, FrameClock, run_name
from streamcount.sources.tiff import TiffConfig, TiffSource
from streamcount.sources.tiff_stack import Plane, TiffChoice
from streamcount.sources.video import VIDEO_SUFFIXES, VideoConfig, VideoSource
from streamcount.types import Frame, FrameMetadata

STILLS_RATE_HZ = 1.0
_SECOND_NS = 1_000_000_000


@dataclass(frozen=True)
class InputOptions:
    """How files are read.

    choice: which part of a TIFF. pixel_size_um: in place of what files say.
    keep_order: whether single images are taken as given, though a shell has put t10 before t2.
    labels: whether they are label images, which JPEG has changed.
    """

    choice: TiffChoice = field(default_factory=TiffChoice)
    pixel_size_um: float | None = None
    keep_order: bool = False
    labels: bool = False


def input_options(
    channel: str | None,
    plane: str | None,
    value_range: tuple[float, float] | None,
    pixel_size_um: float | None,
) -> InputOptions:
    """How files are read, from the options `Channel`, `Plane`, `ValueRange`. Raises typer.BadParameter."""
    z: Plane = None
    if plane is not None and plane != "time":
        if not plane.isdecimal():
            raise typer.BadParameter("a number from 0, or 'time'", param_hint="--plane")
        z = int(plane)
    elif plane == "time":
        z = "time"
    if value_range is not None and not value_range[0] < value_range[1]:
        raise typer.BadParameter("black must be below white", param_hint="--value-range")
    return InputOptions(TiffChoice(channel, z, None, value_range), pixel_size_um)


@dataclass(frozen=True)
class Shot:
    """One frame to come.

    source, index: file and frame in it, as in the results. sequence: frame of its run.
    time_ns: when it was taken, as far as is known before it is read.
    load: reads it, in any thread; raises StreamcountError where that cannot be done.
    """

    source: str
    index: int
    sequence: int
    time_ns: int
    load: Callable[[], Frame]


@dataclass(frozen=True)
class Recording:
    """Frames that belong together, in order: a folder's or a list's stills, a stack, or a video.

    run_id: its name in events; none is used twice. shots: read in order, once.
    order, gaps, unheard: what to tell of the order of its images, of frames that lack between them, and of options
    that do not go with its files; else None.
    """

    name: str
    run_id: str
    frame_count: int | None
    shots: Callable[[], Iterator[Shot]]
    order: str | None = None
    gaps: str | None = None
    unheard: str | None = None


def find_recordings(arguments: Iterable[str], options: InputOptions) -> list[Recording]:
    """The runs in files, folders and glob patterns, in the order given; a file given twice is taken once.

    What cannot be read is in them as a shot whose `load` raises the reason.
    """
    finder = _Finder(options)
    for argument in arguments:
        path = Path(argument)
        matches = sorted(map(Path, glob.glob(argument, recursive=True)), key=natural_path_key)  # noqa: PTH207
        if path.exists() or not matches:
            finder.add(path, pattern=glob.has_magic(argument))
        else:
            for match in matches:
                finder.add(match)
    finder.end_stills()
    return finder.recordings


class _Finder:
    """Sorts paths into recordings; stills that follow one another make one."""

    def __init__(self, options: InputOptions) -> None:
        self._options = options
        self._seen: set[Path] = set()
        self._run_ids: set[str] = set()
        self._stills: list[Path] = []
        self.recordings: list[Recording] = []

    def add(self, path: Path, *, pattern: bool = False) -> None:
        """Take a file or folder."""
        if path.is_dir():
            self._add_folder(path)
        elif not path.exists():
            told = "no file matches this pattern" if pattern else "there is no such file or folder"
            self._add_failure(path, SourceError(f"{path}: {told}"))
        else:
            self._add_file(path)

    def end_stills(self) -> None:
        """Close the recording of the stills collected so far."""
        if not self._stills:
            return
        given, self._stills = self._stills, []
        paths = given if self._options.keep_order else by_numbers(given)
        order = None if paths == given else order_remark(given, paths)
        self._append_stills(paths[0] if len(paths) == 1 else paths[0].parent, paths, order)

    def _add_folder(self, folder: Path) -> None:
        self.end_stills()
        try:
            videos = [path for path in folder.iterdir() if _is_video_name(path)]
            found = sorted([*list_images(folder), *videos], key=natural_key)
        except (OSError, SourceError) as error:
            told = (
                str(error)
                if isinstance(error, SourceError)
                else f"{folder}: cannot be read ({error.strerror})"
            )
            self._add_failure(folder, SourceError(told))
            return
        if not found:
            self._add_failure(
                folder, SourceError(f"{folder}: no image or video in it (subfolders are not searched)")
            )
        stills = []
        for path in found:
            if path.resolve() in self._seen:
                continue
            self._seen.add(path.resolve())
            if self._is_still(path):
                stills.append(path)
            else:
                self._add_sequence(path)
        if stills:
            self._append_stills(folder, stills)

    def _add_file(self, path: Path) -> None:
        if path.resolve() in self._seen:
            return
        self._seen.add(path.resolve())
        if not (is_image_name(path) or _is_video_name(path)):
            kinds = "PNG, JPEG, TIFF, BMP, WebP, or a video such as AVI or MP4"
            self._add_failure(path, SourceError(f"{path}: by its name no image or video; known are {kinds}"))
        elif self._is_still(path):
            self._stills.append(path)
        else:
            self.end_stills()
            self._add_sequence(path)

    def _is_still(self, path: Path) -> bool:
        if _is_video_name(path):
            return False
        if not is_tiff_name(path):
            return True
        try:
            return self._tiff(path).frame_count == 1
        except SourceError:
            # It is read again as a still, and the reason told then, in its place among the others.
            return True

    def _tiff(self, path: Path) -> TiffSource:
        choice = self._options.choice
        return TiffConfig(
            path=path,
            channel=choice.channel,
            z=choice.z,
            series=choice.series,
            value_range=choice.value_range,
            pixel_size_um=self._options.pixel_size_um,
        ).build()

    def _add_sequence(self, path: Path) -> None:
        source: TiffSource | VideoSource
        rate_hz = None
        try:
            if is_tiff_name(path):
                source = self._tiff(path)
            else:
                source = VideoConfig(location=str(path), pixel_size_um=self._options.pixel_size_um).build()
                rate_hz = source.recorded_rate_hz
        except SourceError as error:
            self._add_failure(path, error)
            return
        frames = source.frames
        self._append(
            path,
            run_name(path),
            source.frame_count,
            lambda run_id: _sequence_shots(path, frames, run_id, rate_hz or STILLS_RATE_HZ),
        )
        self._remark([path])

    def _add_failure(self, path: Path, error: SourceError) -> None:
        self.end_stills()
        failing = Shot(source_name(path), 0, 0, 0, _raiser(error))
        self._append(path, run_name(path), 1, lambda _: iter([failing]))

    def _append_stills(self, named: Path, paths: list[Path], order: str | None = None) -> None:
        frames = frame_numbers(paths)
        self._append(
            named, run_name(named), len(paths), lambda run_id: self._still_shots(paths, frames, run_id)
        )
        self._remark(paths, order, gap_remark(paths, frames))

    def _remark(self, paths: list[Path], order: str | None = None, gaps: str | None = None) -> None:
        unheard = _unheard(paths, self._options.choice)
        self.recordings[-1] = replace(self.recordings[-1], order=order, gaps=gaps, unheard=unheard)

    def _append(
        self, path: Path, wanted: str, frames: int | None, shots: Callable[[str], Iterator[Shot]]
    ) -> None:
        run_id, number = wanted, 2
        while run_id in self._run_ids:
            run_id = f"{wanted[:58]}-{number}"
            number += 1
        self._run_ids.add(run_id)
        self.recordings.append(Recording(source_name(path), run_id, frames, lambda: shots(run_id)))

    def _still_shots(self, paths: list[Path], frames: list[int], run_id: str) -> Iterator[Shot]:
        for sequence, path in zip(frames, paths, strict=True):
            time_ns = round(sequence * _SECOND_NS / STILLS_RATE_HZ)
            load = partial(_load_still, path, self._options, run_id, sequence, time_ns)
            yield Shot(source_name(path), 0, sequence, time_ns, load)


def _unheard(paths: list[Path], choice: TiffChoice) -> str | None:
    chosen = {"--channel": choice.channel, "--plane": choice.z, "--value-range": choice.value_range}
    options = " and ".join(option for option, value in chosen.items() if value is not None)
    others = [source_name(path) for path in paths if not is_tiff_name(path)]
    if not options or not others:
        return None
    told = f"{others[0]} is none" if len(others) == 1 else f"{others[0]} and {len(others) - 1} more are none"
    return f"{options}: for TIFFs only; {told}, and taken as without it"


def source_name(path: Path) -> str:
    """The path as it stands in results: what is not UTF-8 in a name is escaped, or no JSON could hold it."""
    return str(path).encode("utf-8", "backslashreplace").decode()


def _load_still(path: Path, options: InputOptions, run_id: str, sequence: int, time_ns: int) -> Frame:
    if options.labels and path.suffix.lower() in JPEG_SUFFIXES:
        raise SourceError(
            f"{path}: JPEG has changed the values that tell cells apart; save labels as PNG or TIFF"
        )
    still = read_still(path, options.choice)
    metadata = FrameMetadata(
        camera_id=FILE_CAMERA_ID,
        run_id=run_id,
        sequence=sequence,
        acquired_at_ns=time_ns,
        pixel_size_um=options.pixel_size_um or still.pixel_size_um,
        channel=still.channel,
    )
    return Frame(still.image, metadata)


def _sequence_shots(
    path: Path, frames: Callable[[Run], Iterator[Frame]], run_id: str, rate_hz: float
) -> Iterator[Shot]:
    """A stack's or video's frames, read as they are asked for; where it breaks off, the last shot tells."""
    source, sequence, time_ns = source_name(path), 0, 0
    reading = frames(Run(FILE_CAMERA_ID, run_id, FrameClock(rate_hz)))
    while True:
        try:
            frame = next(reading)
        except StopIteration:
            return
        except StreamcountError as error:
            yield Shot(source, sequence, sequence, time_ns, _raiser(error))
            return
        time_ns = frame.metadata.acquired_at_ns
        yield Shot(source, sequence, sequence, time_ns, partial(_given, frame))
        sequence += 1


def _given(frame: Frame) -> Frame:
    return frame


def _raiser(error: StreamcountError) -> Callable[[], Frame]:
    def fail() -> Frame:
        raise error

    return fail


def _is_video_name(path: Path) -> bool:
    return path.suffix.lower() in VIDEO_SUFFIXES and not path.name.startswith(".")
