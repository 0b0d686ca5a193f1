"""Who counts: the members of the workers' consumer group, and which partitions each holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from streamcount.config import Settings
from streamcount.service.lag import LagProbe, measure_lag

if TYPE_CHECKING:
    from kafka import KafkaAdminClient

# Members change seldom, and asking for them costs the broker more than asking for offsets.
MEMBERS_EVERY = 3


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """A process of the workers. host: its address as the broker sees it. partitions: by topic, ascending."""

    member_id: str
    client_id: str
    host: str
    partitions: dict[str, list[int]]


class WorkersProbe(LagProbe):
    """Asks for the lag, and less often for the members.

    members: None while nobody knows; empty where no worker runs. state: the group's, in Kafka's word, such as Stable.
    """

    def __init__(self, settings: Settings, client_id: str) -> None:
        super().__init__(settings, client_id)
        self.members: list[Member] | None = None
        self.state = ""
        self._asked = 0

    def measure(self, admin: KafkaAdminClient, settings: Settings) -> int | None:
        if self._asked % MEMBERS_EVERY == 0:
            self.state, self.members = group_members(admin, settings.app_id)
        self._asked += 1
        return measure_lag(admin, settings)

    def forget(self) -> None:
        self.members, self.state, self._asked = None, "", 0


def group_members(admin: KafkaAdminClient, group: str) -> tuple[str, list[Member]]:
    """(state, members) of a consumer group. Raises KafkaError."""
    from kafka.errors import CoordinatorNotAvailableError

    try:
        described = admin.describe_groups([group]).get(group, {})
    except CoordinatorNotAvailableError:
        # A new broker keeps no groups before a first consumer asks it to.
        return "", []
    members = [_member(one) for one in described.get("members", ())]
    return described.get("group_state", ""), sorted(members, key=lambda one: (one.host, one.member_id))


def _member(told: dict[str, Any]) -> Member:
    assignment = told.get("member_assignment") or {}
    # While the group is balanced anew a member has none, and kafka-python gives what it got.
    assigned = assignment.get("assigned_partitions", ()) if isinstance(assignment, dict) else ()
    return Member(
        member_id=told["member_id"],
        client_id=told["client_id"],
        host=told["client_host"].removeprefix("/"),
        partitions={one["topic"]: sorted(one["partitions"]) for one in assigned if one["partitions"]},
    )
