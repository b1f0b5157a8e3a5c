"""What the model is given about a source's scale."""

from __future__ import annotations

from pydantic import Field, model_validator

from s2s_map.config.checked import Checked

SENSOR_PRESETS: dict[str, dict[str, float]] = {
    "sentinel": {"gsd_m": 10.0, "patch_m": 2560.0},
    "bing": {"gsd_m": 0.6, "patch_m": 180.0},
    "googleEarth": {"gsd_m": 0.2, "patch_m": 51.2},
    "landsat": {"gsd_m": 30.0, "patch_m": 2560.0},
}
"""Sensor profiles by name: 256 px at 10 m, 300 px at 0.6 m, 256 px at 0.2 m, 2,560 m at 30 m."""


class SensorProfile(Checked):
    """What the model is given about a source's scale."""

    gsd_m: float = Field(
        ge=0.001, le=100_000, description="Ground sample distance of the imagery, metres."
    )
    patch_m: float = Field(
        ge=0.1,
        le=1_000_000,
        description="Ground size of a patch, one model input, at zoom 1, metres; or patch_px: in "
        "pixels of gsd_m.",
    )

    @model_validator(mode="before")
    @classmethod
    def _from_pixels(cls, data: object) -> object:
        if not isinstance(data, dict) or "patch_px" not in data:
            return data
        if "patch_m" in data:
            raise ValueError("give patch_m or patch_px, not both")
        fields = dict(data)
        try:
            fields["patch_m"] = float(fields.pop("patch_px")) * float(fields.get("gsd_m", "nan"))
        except (TypeError, ValueError):
            raise ValueError("patch_px and gsd_m are numbers") from None
        return fields
