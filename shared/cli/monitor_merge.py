"""``triptych monitor merge PROFILE... --out PROFILE``: one profile of several."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("merge")
@click.argument("profiles", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PROFILE...")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="the folder of the merged profile")
def command(profiles: tuple[Path, ...], *, out: Path) -> int:
    """Merge profiles of different items of one model, such as those of shards or of days, into one."""
    from shared.monitoring.profile import merged  # noqa: PLC0415 - NumPy is loaded only where it is used
    from shared.monitoring.profile_files import load_profile, save_profile  # noqa: PLC0415

    whole = merged(map(load_profile, profiles))
    save_profile(whole, out)
    click.echo(f"{out}: {whole.n:,} items of {len(profiles)} profiles")
    return 0
