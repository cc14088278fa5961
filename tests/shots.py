"""`make shots`: every page and picture the product makes, from a finished demo, as small PNGs in docs/img/.

Pages are opened in headless Chromium with every request outside the machine refused and counted; one such request fails
the command. The MLflow pages come from a real server on the demo's database.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs/img"
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


def main(demo: Path) -> int:
    from playwright.sync_api import sync_playwright

    if not (demo / "report/report.html").exists():
        print(f"{demo} holds no finished demo: run `make demo` first", file=sys.stderr)
        return 2
    IMAGES.mkdir(parents=True, exist_ok=True)
    road(IMAGES / "road.png")
    asked: list[str] = []
    with sync_playwright() as play, mlflow_server(demo) as server, tempfile.TemporaryDirectory() as made:
        browser = play.chromium.launch(executable_path="/usr/bin/chromium", headless=True, args=FLAGS)
        for name, (url, size, wait_s) in pages(demo, server, Path(made)).items():
            page = browser.new_page(viewport={"width": size[0], "height": size[1]})
            page.on("request", lambda request: asked.append(request.url))
            page.goto(url)
            page.wait_for_timeout(wait_s * 1000)
            if url.startswith("http"):
                tidy(page)
            page.screenshot(path=IMAGES / f"{name}.png")
            broken = page.evaluate("[...document.images].filter(i => !i.complete || i.naturalWidth === 0).length")
            print(f"{name}.png{f', {broken} broken pictures' if broken else ''}")
            page.close()
        browser.close()
    outside = sorted({url for url in asked if not url.startswith(("file:", "data:", "blob:", server))})
    print(f"{len(asked)} requests, {len(outside)} to other hosts {outside[:5]}")
    return 1 if outside else 0


def pages(demo: Path, server: str, made: Path) -> dict[str, tuple[str, tuple[int, int], int]]:
    """Name -> (address, window in pixels, seconds until it stands). Pages the demo does not hold are made in `made`."""
    from rnfm.tracking import client
    from rnfm.volume import QcConfig, qc

    store = client(f"sqlite:///{demo.absolute() / 'mlflow.db'}")
    ids = {experiment.name: experiment.experiment_id for experiment in store.search_experiments()}
    run = store.search_runs([ids["rnfm/pretrain"]])[0].info.run_id
    judged = store.search_runs([ids["rnfm/evaluate"]])[0].info.run_id
    looked = qc(QcConfig(volumes=demo / "volumes/pool", out=made / "qc")).page.as_uri()
    return {
        "qc": (looked, (1200, 1300), 2),
        "report": ((demo / "report/report.html").absolute().as_uri(), (1000, 1400), 2),
        "report-attention": ((demo / "report/report.html").absolute().as_uri() + "#attention", (1000, 900), 2),
        "mlflow-pretrain": (f"{server}/#/experiments/{ids['rnfm/pretrain']}/runs/{run}/model-metrics", (1500, 800), 12),
        "mlflow-sweep": (f"{server}/#/experiments/{ids['rnfm/sweep']}/runs", (1500, 700), 12),
        "mlflow-aucs": (f"{server}/#/experiments/{ids['rnfm/evaluate']}/runs/{judged}/model-metrics", (1500, 800), 12),
    }


def tidy(page) -> None:
    """MLflow's assistant away, the children of a sweep in sight."""
    close = page.locator('button[aria-label="Close"]')
    if close.count():
        close.first.click()
    parent = page.get_by_role("link", name="finetune-sweep")
    if parent.count():
        box = parent.first.bounding_box()
        page.mouse.click(box["x"] - 32, box["y"] + box["height"] / 2)  # the expander has no name to find it by
    page.wait_for_timeout(2000)


@contextmanager
def mlflow_server(demo: Path):
    """A real `mlflow ui` on the demo's database; ended with all its processes."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    uri = f"sqlite:///{demo.absolute() / 'mlflow.db'}"
    command = [
        str(Path(sys.executable).parent / "mlflow"),
        "ui",
        "--backend-store-uri",
        uri,
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--workers",
        "1",
    ]
    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(240):
            try:
                urllib.request.urlopen(f"{address}/health", timeout=2)
                break
            except OSError:
                time.sleep(0.5)
        yield address
    finally:
        os.killpg(process.pid, 15)
        process.wait(20)


ROAD = (
    ("find scans", "data index", "cohort"), ("split", "data split", "split"), ("make canonical", "data prepare", "volumes"),
    ("cut and shard", "data shard", "shards"), ("pre-train", "pretrain", "foundation"), ("embed", "embed", "embeddings"),
    ("fine-tune, sweep", "finetune, sweep", "classifier"), ("baselines, fuse", "baseline, fuse", "predictions"),
    ("judge", "evaluate, report", "report.html"), ("choose and use", "models, predict", "probability + map"),
)  # fmt: skip


def road(path: Path) -> None:
    """The figure of the README: stages, their commands, the artefact each hands on."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.patches import FancyBboxPatch

    figure = Figure(figsize=(11, 3.3), dpi=110)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, 11), ylim=(0, 3.3))
    axes.axis("off")
    for i, (title, command, artefact) in enumerate(ROAD):
        row, column = divmod(i, 5)
        left, bottom = 0.25 + 2.15 * column, 1.85 - 1.55 * row
        axes.add_patch(
            FancyBboxPatch(
                (left, bottom),
                1.7,
                1.0,
                boxstyle="round,pad=0.03,rounding_size=0.08",
                fc="#eef4f8",
                ec="#2f6f8f",
                lw=1.2,
            )
        )
        axes.text(
            left + 0.85, bottom + 0.74, title, ha="center", va="center", fontsize=10, weight="bold", color="#16384a"
        )
        axes.text(
            left + 0.85,
            bottom + 0.43,
            f"rnfm {command}",
            ha="center",
            va="center",
            fontsize=7.4,
            family="monospace",
            color="#333333",
        )
        axes.text(
            left + 0.85,
            bottom + 0.15,
            artefact,
            ha="center",
            va="center",
            fontsize=8.6,
            style="italic",
            color="#8a4b08",
        )
        if column < 4:
            axes.annotate(
                "",
                (left + 2.1, bottom + 0.5),
                (left + 1.77, bottom + 0.5),
                arrowprops={"arrowstyle": "->", "color": "#2f6f8f", "lw": 1.4},
            )
    axes.annotate(
        "",
        (1.1, 1.36),
        (9.7, 1.8),
        arrowprops={
            "arrowstyle": "->",
            "color": "#2f6f8f",
            "lw": 1.2,
            "connectionstyle": "angle,angleA=-90,angleB=180,rad=6",
        },
    )
    figure.savefig(path)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "demo"))
