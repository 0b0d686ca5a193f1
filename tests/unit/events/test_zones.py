"""Zones: how they are drawn, who is in them, and what is told of cells that come, tremble, leave and end."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from streamcount.errors import ConfigurationError
from streamcount.events.places import PlacesConfig, ZoneConfig, places_map
from streamcount.types import ModelIdentity
from tests.films import SECOND_NS, living, seen, wandering
from tests.placefilms import kinds, told_places


def box(y0, x0, y1, x1):
    return ((y0, x0), (y0, x1), (y1, x1), (y1, x0))


WELL = box(0, 100, 400, 200)


def zoned(points=WELL, **options):
    return places_map(PlacesConfig(zones={"well": ZoneConfig(points_px=points, **options)}))


SQUARE = box(0, 0, 10, 10)


@pytest.mark.parametrize(
    ("given_", "word"),
    [
        ({}, "either points_px or points_um"),
        ({"points_px": SQUARE, "points_um": SQUARE}, "either points_px or points_um"),
        ({"points_px": SQUARE[:2]}, "at least 3 points"),
        ({"points_px": ((0, 0), (10, 10), (0, 10), (10, 0))}, "crosses or touches itself"),
        ({"points_px": ((0, 0), (0, 10), (0, 10), (10, 10))}, "crosses or touches itself"),
        ({"points_px": ((0, 0), (0, 10), (0, 5))}, "crosses or touches itself"),
        ({"points_px": ((0, 0), (0, 10), (10, 10), (0, 5), (10, 0))}, "crosses or touches itself"),
        ({"points_px": ((0, 0), (5, 5), (9, 9))}, "crosses or touches itself"),
        ({"points_px": ((0, 0), (0, float("nan")), (9, 9))}, "points_px"),
        ({"points_px": SQUARE, "hysteresis_px": 1, "hysteresis_diameters": 1}, "either hysteresis_px or"),
        ({"points_px": SQUARE, "hysteresis_px": -1}, "hysteresis_px"),
        ({"points_px": ((0, 0), (0, 10), (10, 12), (10, 0)), "edges": "haemocytometer"}, "needs a rectangle"),
        ({"points_px": SQUARE, "colour": "red"}, "colour"),
    ],
)
def test_what_is_no_zone_is_refused(given_, word):
    with pytest.raises(ValidationError, match=word):
        ZoneConfig(**given_)


@pytest.mark.parametrize("name", ["", "a/b", "-a", "x" * 65])
def test_a_name_that_would_spoil_ids_is_refused(name):
    with pytest.raises(ValidationError):
        PlacesConfig(zones={name: ZoneConfig(points_px=SQUARE)})


def test_a_zone_in_micrometres_needs_the_pixel_size():
    config = PlacesConfig(zones={"well": ZoneConfig(points_um=SQUARE)})
    assert config.in_um == ("zones.well.points_um",)
    with pytest.raises(ConfigurationError, match=r"zones\.well\.points_um.*pixel_size_um"):
        places_map(config)
    assert places_map(config, 0.5).areas_px((100, 100)).tolist() == [400.0]


def test_the_fingerprint_tells_other_places_and_only_those():
    def mark(pixel_size_um=None, **zone):
        return places_map(PlacesConfig(zones={"a": ZoneConfig(**zone)}), pixel_size_um).fingerprint

    same = mark(points_px=SQUARE)
    assert same == mark(points_px=SQUARE) == mark(points_um=SQUARE, pixel_size_um=1.0)
    others = [
        mark(points_px=box(0, 0, 10, 11)),
        mark(points_um=SQUARE, pixel_size_um=0.5),
        mark(points_px=SQUARE, classes=("odd",)),
        mark(points_px=SQUARE, hysteresis_px=1),
        mark(points_px=SQUARE, edges="haemocytometer"),
        places_map(PlacesConfig()).fingerprint,
    ]
    assert len({same, *others}) == 7


@pytest.mark.parametrize("edges", ["centroid", "haemocytometer"])
@given(seed=st.integers(0, 2**32))
@settings(max_examples=20, deadline=None)
def test_of_zones_that_tile_a_field_each_point_is_in_one(edges, seed):
    rng = np.random.default_rng(seed)
    cuts = [np.unique([0, *rng.integers(1, 40, 3), 40]) for _ in "yx"]
    zones = {
        f"z{i}.{j}": ZoneConfig(
            points_px=box(cuts[0][i], cuts[1][j], cuts[0][i + 1], cuts[1][j + 1]), edges=edges
        )
        for i in range(len(cuts[0]) - 1)
        for j in range(len(cuts[1]) - 1)
    }
    points = rng.integers(0, 80, (300, 2)).astype(np.float32) / 2
    inside = places_map(PlacesConfig(zones=zones)).zones_of(points, np.concatenate([points, points], axis=1))
    assert (inside.sum(axis=1) == 1).all()


@given(seed=st.integers(0, 2**32))
@settings(max_examples=20, deadline=None)
def test_a_slanting_border_belongs_to_one_of_its_two_sides(seed):
    rng = np.random.default_rng(seed)
    middle = [tuple(point) for point in rng.integers(-20, 20, (2, 2)).tolist()]
    middle[1] = (middle[1][0] + 50, middle[1][1])
    left = ZoneConfig(points_px=(middle[0], middle[1], (middle[1][0], -99), (middle[0][0], -99)))
    right = ZoneConfig(points_px=(middle[1], middle[0], (middle[0][0], 99), (middle[1][0], 99)))
    places = places_map(PlacesConfig(zones={"left": left, "right": right}))
    shares = rng.uniform(0, 1, (200, 1))
    on_it = ((1 - shares) * np.array(middle[0]) + shares * np.array(middle[1])).astype(np.float32)
    assert (places.zones_of(on_it, np.zeros((200, 4), np.float32)).sum(axis=1) == 1).all()


def test_a_zone_may_be_hollow_and_drawn_either_way_round():
    hook = ((0, 0), (0, 30), (30, 30), (30, 20), (10, 20), (10, 0))
    points = np.array([[5, 5], [20, 25], [20, 10], [29, 19]], np.float32)
    for outline in (hook, hook[::-1]):
        assert zoned(outline).zones_of(points, np.zeros((4, 4), np.float32))[:, 0].tolist() == [
            True,
            True,
            False,
            False,
        ]
        assert zoned(outline).areas_px((100, 100)).tolist() == [500.0]


@pytest.mark.parametrize(
    ("points", "area"),
    [
        (box(-10, -10, 20, 30), 600.0),
        (box(10, 10, 500, 500), 90.0 * 190.0),
        (box(-50, -50, 1000, 1000), 20_000.0),
        (box(200, 0, 300, 50), 0.0),
        (((-10, 0), (10, 0), (0, 10)), 50.0),
        # Both prongs of a fork reach into the image, and what joins them lies outside.
        (
            ((-20, 0), (10, 0), (10, 10), (-10, 10), (-10, 20), (10, 20), (10, 30), (-20, 30)),
            200.0,
        ),
    ],
)
def test_only_what_is_within_the_image_has_area(points, area):
    assert zoned(points).areas_px((100, 200)) == pytest.approx([area])


def test_the_haemocytometer_counts_what_touches_the_upper_and_left_edge():
    places = zoned(box(100, 100, 200, 200), edges="haemocytometer")
    centres = [(100, 150), (150, 100), (200, 150), (150, 200), (190, 150), (90, 150), (80, 150), (150, 150)]
    detections = seen(0, centres)
    assert places.detected(detections)[:, 0].tolist() == [
        True,
        True,
        False,
        False,
        False,
        True,
        False,
        True,
    ]


def test_detections_are_counted_for_the_classes_of_the_zone():
    detections = seen(0, [(50, 150), (60, 150), (60, 50)], odd=[0.9, 0.1, 0.9])
    assert zoned(classes=("odd",)).detected(detections)[:, 0].tolist() == [True, False, False]
    assert zoned().detected(detections)[:, 0].tolist() == [True, True, False]
    assert places_map(PlacesConfig()).detected(detections).shape == (3, 0)


def test_a_cell_enters_and_leaves_once_and_its_stay_is_told():
    film = [seen(i, [(200, 80 + 5 * i)]) for i in range(30)]
    every, inside = told_places(film, zoned())
    # In at 100; out when more than a quarter of its diameter of 20 beyond 200.
    assert kinds(every) == [(4, "ZoneEntered"), (26, "ZoneLeft")]
    entered, left = every[0][1], every[1][1]
    assert (entered.zone, entered.centroid_px, entered.sequence) == ("well", (200.0, 100.0), 4)
    assert entered.event_id == "cam/run-1/4/ZoneEntered/1/well"
    assert (left.dwell_ns, left.sequence, left.centroid_px) == (22 * SECOND_NS, 26, (200.0, 210.0))
    assert [bool(there.any()) for there in inside] == [4 <= i < 26 for i in range(30)]


def test_a_cell_that_appears_in_a_zone_enters_when_it_is_confirmed():
    every, inside = told_places([seen(i, [(200, 150)]) for i in range(5)], zoned())
    assert kinds(every) == [(2, "ZoneEntered")]
    assert [int(there.sum()) for there in inside] == [0, 0, 1, 1, 1]


@pytest.mark.parametrize(
    ("options", "entries"), [({}, 1), ({"hysteresis_px": 0}, 5), ({"hysteresis_px": 5}, 1)]
)
def test_a_cell_that_trembles_on_the_border_enters_once(options, entries):
    film = [seen(i, [(200, 100 + (1 if i % 2 else -1))]) for i in range(12)]
    every, _ = told_places(film, zoned(**options))
    assert [kind for _, kind in kinds(every)].count("ZoneEntered") == entries
    assert [kind for _, kind in kinds(every)].count("ZoneLeft") == entries - 1


def test_what_is_not_seen_stays_where_it_was():
    # It comes back within the zone, though its motion would have taken it out.
    columns = [130, 140, 150, 160, 170, 180, None, None, 196]
    film = [seen(i, [] if x is None else [(200, x)]) for i, x in enumerate(columns)]
    every, inside = told_places(film, zoned())
    assert kinds(every) == [(2, "ZoneEntered")]
    assert all(there.any() for there in inside[2:])


def test_a_cell_that_ends_leaves_at_its_last_sighting():
    film = [seen(i, [(200, 150)] if i < 6 else []) for i in range(12)]
    every, inside = told_places(film, zoned())
    assert kinds(every) == [(2, "ZoneEntered"), (8, "ZoneLeft")]
    left = every[1][1]
    assert (left.sequence, left.happened_at_ns, left.decided_at_ns) == (5, 15 * SECOND_NS, 18 * SECOND_NS)
    assert (left.dwell_ns, left.centroid_px, left.class_name) == (3 * SECOND_NS, (200.0, 150.0), "round")
    assert not any(there.any() for there in inside[8:])


def test_what_was_never_trusted_is_in_no_zone():
    every, inside = told_places([seen(i, [(200, 150)] if i < 2 else []) for i in range(8)], zoned())
    assert every == []
    assert not any(there.any() for there in inside)


def test_a_mother_leaves_when_her_daughters_are_certain_and_enter():
    before = [seen(i, [(200, 150)], diameter=24) for i in range(6)]
    after = [seen(i, [(200 - 9 - i, 150), (200 + 9 + i, 150)], diameter=17) for i in range(6, 12)]
    every, _ = told_places(before + after, zoned())
    assert [(event.kind, event.track_id, event.parent_id) for _, event in every] == [
        ("ZoneEntered", 1, 0),
        ("ZoneLeft", 1, 0),
        ("ZoneEntered", 2, 1),
        ("ZoneEntered", 3, 1),
    ]
    assert every[1][0] == every[2][0]
    assert every[1][1].sequence == 5


def test_a_cell_that_turns_to_another_class_leaves_a_zone_of_its_old_one():
    film = [seen(i, [(200, 150)], odd=0.1 if i < 4 else 0.95) for i in range(14)]
    every, _ = told_places(film, zoned(classes=("round",)))
    assert kinds(every) == [(2, "ZoneEntered"), (9, "ZoneLeft")]
    assert kinds(told_places(film, zoned(classes=("odd",)))[0]) == [(9, "ZoneEntered")]
    assert kinds(told_places(film, zoned(classes=("unknown",)))[0]) == []


def test_another_model_moves_no_cell():
    other = ModelIdentity("other", "1" * 64, ("flat", "round"), ())
    film = [seen(i, [(200, 150)]) for i in range(5)]
    film += [seen(i, [(200, 150)], odd=0.9, model=other) for i in range(5, 8)]
    assert kinds(told_places(film, zoned(classes=("round",)))[0]) == [(2, "ZoneEntered")]


def test_other_places_begin_anew_and_tell_of_no_leaving():
    film = [seen(i, [(200, 150)]) for i in range(10)]
    one, other, none = zoned(), zoned(box(0, 120, 400, 300)), places_map(PlacesConfig())
    every, inside = told_places(film, [one] * 5 + [other] * 5)
    assert kinds(every) == [(2, "ZoneEntered"), (5, "ZoneEntered")]
    every, inside = told_places(film, [one] * 5 + [none] * 5)
    assert kinds(every) == [(2, "ZoneEntered")]
    assert inside[-1].shape == (1, 0)


ZONES = {
    "big": ZoneConfig(points_px=box(50, 50, 300, 300)),
    "odd": ZoneConfig(points_px=((0, 200), (390, 20), (200, 390)), classes=("odd",)),
    "square": ZoneConfig(points_px=box(100, 100, 250, 350), edges="haemocytometer", hysteresis_px=2),
}
THREE = places_map(PlacesConfig(zones=ZONES))


@given(seed=st.integers(0, 2**32), makes=st.sampled_from([wandering, living]))
@settings(max_examples=12, deadline=None)
def test_who_entered_and_has_not_left_is_inside(seed, makes):
    film = makes(25, 25, seed)
    every, inside = told_places(film, THREE)
    for name, column in zip(THREE.zone_names, range(3), strict=True):
        balance = dict.fromkeys(range(len(film)), 0)
        for number, event in every:
            if event.zone == name:
                balance[number] += 1 if event.kind == "ZoneEntered" else -1
        assert np.cumsum(list(balance.values())).tolist() == [int(there[:, column].sum()) for there in inside]
    assert all(event.dwell_ns >= 0 for _, event in every if event.kind == "ZoneLeft")
    moves = [(number, event.track_id, event.zone) for number, event in every]
    assert len(set(moves)) == len(moves)


@given(seed=st.integers(0, 2**32), cut=st.integers(1, 24))
@settings(max_examples=12, deadline=None)
def test_cutting_the_run_at_any_frame_changes_nothing(seed, cut):
    film = wandering(25, 20, seed)
    (plain, inside), (resumed, again) = told_places(film, THREE), told_places(film, THREE, cut=cut)
    assert plain == resumed
    assert all(np.array_equal(one, other) for one, other in zip(inside, again, strict=True))
