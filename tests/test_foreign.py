"""The one place where what libraries raise becomes one line."""

from __future__ import annotations

import pyproj
import pytest
import rasterio
import shapely
import soundfile

from s2s_map.errors import ConfigError, S2SMapError
from s2s_map.foreign import fault_of_ours, translated


def raised_by(cause: str) -> Exception:
    try:
        match cause:
            case "rasterio":
                rasterio.open("/nothing/here.tif")
            case "pyproj":
                pyproj.CRS("EPSG:-1")
            case "shapely":
                shapely.from_wkt("POLYGON((")
            case "soundfile":
                soundfile.SoundFile("/nothing/here.wav")
            case "system":
                open("/nothing/here").close()  # noqa: PTH123
            case "schema":
                from s2s_map.config.run import QueryConfig

                QueryConfig(text="a\0b")
            case "memory":
                raise MemoryError("16 EiB")
    except Exception as error:
        return error
    raise AssertionError(cause)


@pytest.mark.parametrize(
    "cause", ["rasterio", "pyproj", "shapely", "soundfile", "system", "schema", "memory"]
)
def test_what_comes_of_input_is_one_line(cause: str) -> None:
    ours = translated(raised_by(cause))
    assert ours is not None
    assert ours.exit_code == 2
    assert len(str(ours).splitlines()) == 1
    assert ours.remedy


def test_what_is_no_librarys_is_a_fault_of_ours() -> None:
    assert translated(ZeroDivisionError("division by zero")) is None
    assert "--debug" in fault_of_ours(ZeroDivisionError("division by zero"))
    own = ConfigError("x")
    assert translated(own) is own


def test_messages_hold_nothing_that_a_terminal_obeys() -> None:
    said = str(S2SMapError("a\x1b[31m\ud800\n\u2028b\0"))
    assert said.isprintable()
    said.encode()
