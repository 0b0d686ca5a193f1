"""Which part of a TIFF is wanted, as it is configured for one file or for a folder of them."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from streamcount.sources.tiff_stack import TiffChoice


class TiffChoiceConfig(BaseModel):
    """The keys that say what to take of a TIFF that holds more than one picture of a time."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    channel: int | str | None = Field(
        default=None, description="index from 0 or name; needed where there are several"
    )
    z: int | Literal["time"] | None = Field(
        default=None,
        description='focal plane from 0, needed where there are several; "time" if planes are times in truth',
    )
    series: int | None = Field(
        default=None, ge=0, description="which image of a file that holds several kinds, from 0"
    )
    value_range: tuple[float, float] | None = Field(
        default=None,
        description="values that become black and white (16 bit); needed for float and 1-bit pixels, and for values "
        "beyond 0 to 65535",
    )

    @model_validator(mode="after")
    def _range_has_extent(self) -> Self:
        if self.value_range is not None and not self.value_range[0] < self.value_range[1]:
            raise ValueError("value_range is [low, high] with low below high")
        return self

    def choice(self) -> TiffChoice:
        """Which part of a file is wanted."""
        return TiffChoice(self.channel, self.z, self.series, self.value_range)
