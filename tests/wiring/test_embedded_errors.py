"""What goes wrong in the embedded Postgres is one of Triptych's own errors, naming the setting."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from triptych.embedded import errors as embedded
from triptych.errors import DataFolderInUse, PostgresServerError, SettingsError, TriptychError
from triptych.settings.settings import Settings
from triptych.wiring.services import embedded_errors, own_database, reach_database


@pytest.mark.parametrize(
    ("raised", "becomes"),
    [
        (embedded.PostgresServerError, PostgresServerError),
        (embedded.DataFolderInUse, DataFolderInUse),
        (embedded.DataFolderUnusable, SettingsError),
    ],
)
def test_each_keeps_its_message_and_remedy(
    raised: type[embedded.EmbeddedError], becomes: type[TriptychError]
) -> None:
    with pytest.raises(becomes) as caught, embedded_errors():
        raise raised("It failed.", remedy="Mend it.")
    assert (caught.value.message, caught.value.remedy) == ("It failed.", "Mend it.")


async def test_a_data_folder_that_cannot_be_made_names_its_setting(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    settings = Settings.load(data=tmp_path / "file")
    with pytest.raises(SettingsError, match=r"^TRIPTYCH_DATA: .* cannot be created .*\. Name a"):
        async with own_database(settings):
            pass


@pytest.mark.parametrize("opened", [own_database, reach_database])
async def test_without_an_embedded_postgres_the_setting_is_named_and_nothing_is_made(
    opened: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As in the container image, whose data folder cannot be written either.
    monkeypatch.setattr("triptych.embedded.binaries.find_spec", lambda _: None)
    with pytest.raises(PostgresServerError, match=r"no embedded Postgres .*Set TRIPTYCH_DATABASE_"):
        async with opened(Settings.load(data=tmp_path / "data")):
            pass
    assert not (tmp_path / "data").exists()
