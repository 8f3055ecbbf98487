"""Every command: its options, and where it is. A command's module is imported when it runs, and
nothing that computes is imported here: --help answers at once."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aexad.bench.base.places import BASELINES, expanded
from aexad.bench.commands.options import (
    data_root_option,
    json_option,
    machine_options,
    parameter_options,
    path,
    results_option,
    saving_options,
    selection_options,
    threads_option,
    unless_saved_option,
    weights_option,
    work_options,
)
from aexad.bench.plan import open_points
from aexad.bench.plan.definitions import FIGURES, TABLES, FigureDef, TableDef
from aexad.datasets.sources import SOURCES

EXPORTED = ("csv", "parquet")
DEPLOYED = ("onnx", "torch")  # those of bench/deploy/formats.py
SCORES = ("max", "mean", "sum")  # an image's score from its map: those of results/map_files.py
WEIGHTS = "weights"
SHELLS = ("bash", "zsh")
STRESS = ("Hostile inputs through every reader, and real runs under faults: SIGKILL, full and "
          "read-only disks, a jumping clock, NaN, no memory; a home that is missing, read-only or "
          "written ~, output that cannot be printed, settings of matplotlib and CodeCarbon, no "
          "permission, links to nowhere, a disk without modes. --only takes their names as the "
          "tables print them. Exit status 1: something was lost, or did not end in one clear line.")

Options = Callable[[argparse.ArgumentParser], None]


@dataclass(frozen=True)
class Command:
    """run: "module:function" of bench/commands, which takes the parsed arguments and returns the
    exit status. options: adds its own to a parser, behind those of work_options where it is about
    cells. defaults: what it reads and has no option for."""

    help: str
    run: str
    options: Options = lambda p: None
    about_cells: bool = True
    description: str | None = None
    defaults: dict[str, Any] = field(default_factory=dict)

    def add_options(self, p: argparse.ArgumentParser) -> None:
        if self.about_cells:
            work_options(p)
        self.options(p)
        p.set_defaults(run=self.run, **self.defaults)


def _emissions_option(p: argparse.ArgumentParser) -> None:
    p.add_argument("--emissions", choices=("stored", "strict"), default="stored",
                   help="strict: train again, alone, what was measured beside other fits or not at "
                        "all; nothing else changes (default stored)")


def _table(definition: TableDef) -> Command:
    def options(p: argparse.ArgumentParser) -> None:
        json_option(p)
        saving_options(p)
        unless_saved_option(p)
        if definition.about_emissions:
            _emissions_option(p)

    return Command(definition.title, "table:run", options)


def _tables(p: argparse.ArgumentParser) -> None:
    json_option(p)
    _emissions_option(p)


def _image_option(p: argparse.ArgumentParser) -> None:
    p.add_argument("--image", metavar="ID", help="a test image, as test/crack/003 (default: the "
                                                 "one of median AUC)")


def _by_option(p: argparse.ArgumentParser) -> None:
    p.add_argument("--by", metavar="METHOD", help="whose AUC chooses the images (default: the "
                                                  "first method; in figure2 AE-XAD)")


def _figure(definition: FigureDef) -> Command:
    def options(p: argparse.ArgumentParser) -> None:
        p.set_defaults(image=None, by=None)
        if definition.one_place:
            _image_option(p)
        if definition.one_seed:
            _by_option(p)

    return Command(definition.shown.title, "figures:run", options)


def _figures(p: argparse.ArgumentParser) -> None:
    _image_option(p)
    _by_option(p)


def _export(p: argparse.ArgumentParser) -> None:
    results_option(p)
    p.add_argument("--format", choices=EXPORTED, help="default: the ending of --out, else csv")
    p.add_argument("--out", type=expanded, metavar="FILE",
                   help="default: images.csv in the folder of results")


def _compare(p: argparse.ArgumentParser) -> None:
    p.add_argument("names", nargs="*", metavar="METHOD",
                   help="two or more, each pair is compared; default: all with stored results")
    json_option(p)


def _evaluate(p: argparse.ArgumentParser) -> None:
    p.add_argument("folder", nargs="?", metavar="DIR", type=path, help="float maps, "
                   "DIR/<dataset>/<category>/<kind>/<image>.npy (.tiff, 16-bit .png); for one "
                   "category also DIR/<kind>/<image>.npy")
    p.add_argument("--name", help="the name that --methods will know it by")
    p.add_argument("--label", help="its name in tables (default: --name)")
    p.add_argument("--score", choices=SCORES, help="an image's score from its map "
                   "(default: DIR/scores.csv with columns id, score where it is there, else max)")
    p.add_argument("--list", action="store_const", const="test", help="print the names of the "
                   "test images' maps, without extension, and stop")
    p.add_argument("--list-train", dest="list", action="store_const", const="train",
                   help="print the training images, and stop")


def _study(p: argparse.ArgumentParser) -> None:
    p.add_argument("--points", help="comma-separated, of: " + "; of --methods ae: ".join(
        ", ".join(open_points.points(method)) for method in open_points.SHOWN))
    p.add_argument("--explain-only", action="store_true", help="only choices that need no training")
    p.add_argument("--stored", action="store_true", help="only what is stored, nothing is computed")
    p.add_argument("--name", help="name of the files (default study, of other methods than AE-XAD "
                   "study-METHOD)")
    saving_options(p)


def _run(p: argparse.ArgumentParser) -> None:
    p.add_argument("--by", metavar="METHOD", help="whose AUC chooses the gallery's images "
                                                  "(default: the first method)")


def _report(p: argparse.ArgumentParser) -> None:
    p.add_argument("--by", metavar="METHOD", help="whose AUC chooses the gallery's images "
                                                  "(default: the first method)")
    p.add_argument("--pictures", metavar="N", default="9", help="images of each category in the "
                   "gallery, the best, median and worst; or all, in a file for each category "
                   "(default %(default)s; --images N is the same where no --masks are given)")
    p.add_argument("--out", type=expanded, metavar="FILE",
                   help="default: report….html in the folder of results")


def _fit(p: argparse.ArgumentParser) -> None:
    p.add_argument("--out", type=path, metavar="DIR", required=True, help="the model folder")


def _explain(p: argparse.ArgumentParser) -> None:
    p.add_argument("model", type=path, metavar="MODEL", help="the model folder")
    p.add_argument("inputs", type=path, nargs="+", metavar="IMAGE_OR_FOLDER")
    p.add_argument("--out", type=path, metavar="DIR", required=True, help="where they are written")
    machine_options(p)


def _export_model(p: argparse.ArgumentParser) -> None:
    p.add_argument("model", type=path, metavar="MODEL", help="the model folder")
    p.add_argument("--format", choices=DEPLOYED, default="onnx",
                   help="onnx for ONNX Runtime and others, torch for torch.export.load (default "
                        "%(default)s)")
    p.add_argument("--out", type=path, metavar="FILE",
                   help="default: model.onnx or model.pt2 in the model folder")
    p.add_argument("--image-size", metavar="WxH", help="width and height of the images, as "
                   "5000x4000: for a model that cuts them into tiles (data.tile)")
    weights_option(p)


def _audit(p: argparse.ArgumentParser) -> None:
    p.add_argument("--out", type=expanded, metavar="FILE",
                   help="the report in Markdown (default: tables/audit.md in the results)")
    p.add_argument("--json", type=expanded, metavar="FILE", help="write the findings as JSON too")
    results_option(p)


def _verdict(p: argparse.ArgumentParser) -> None:
    what = p.add_mutually_exclusive_group()
    what.add_argument("--stored", action="store_true", help="on what is in --results (the default)")
    what.add_argument("--baselines", type=expanded, nargs="?", const=str(BASELINES), metavar="DIR",
                      help="on baselines: those of the repository, or the folder named")
    what.add_argument("--measure-coverage", type=expanded, metavar="FILE", help="instead: measure "
                      "on made-up data how often the intervals hold the truth (minutes)")
    results_option(p)
    json_option(p)
    p.add_argument("--out", type=expanded, metavar="FILE", help="the report in Markdown, as "
                   "docs/verdict.md is one")


def _check(p: argparse.ArgumentParser) -> None:
    p.add_argument("--baseline", type=path, metavar="FILE",
                   help="default: mini.json of results/baselines, which is part of the package")
    p.add_argument("--stored", action="store_true",
                   help="compare, or with --update keep, what is in --results; train nothing")
    p.add_argument("--update", action="store_true", help="write the baseline anew")
    p.add_argument("--repeat", default="1,2,1", metavar="THREADS",
                   help="with --update: a run with each of these numbers of threads; tolerances "
                        "come from their spread (default %(default)s)")
    p.add_argument("--note", default="", help="with --update: what a reader must know")
    json_option(p)
    p.set_defaults(seeds=None)


def _fetch(p: argparse.ArgumentParser) -> None:
    p.add_argument("names", nargs="+", metavar="NAME",
                   help=f"{', '.join(SOURCES)}, all (datasets), {WEIGHTS}")
    data_root_option(p)
    p.add_argument("--accept-licence", action="store_true",
                   help="accept the datasets' licences, which are shown otherwise; once")
    p.add_argument("--from", dest="archive", type=path, metavar="FILE",
                   help="the dataset's archive, downloaded by hand")
    p.add_argument("--url", help="another address of the dataset's archive")
    p.add_argument("--choice", type=path, metavar="CSV",
                   help="wood, hazelnut, road: which images, with the columns image,part,kind,mask")
    p.add_argument("--networks", help=f"{WEIGHTS}: comma-separated (default: all)")
    p.add_argument("--to", type=path, metavar="FOLDER",
                   help=f"{WEIGHTS}: where to (default <data root>/{WEIGHTS})")


def _verify(p: argparse.ArgumentParser) -> None:
    data_root_option(p)
    selection_options(p)
    threads_option(p)


def _methods(p: argparse.ArgumentParser) -> None:
    parameter_options(p)
    p.add_argument("name", nargs="?", help="one method")


def _completion(p: argparse.ArgumentParser) -> None:
    p.add_argument("shell", choices=SHELLS)


def _benchmark(p: argparse.ArgumentParser) -> None:
    threads_option(p)
    p.add_argument("--methods", help="comma-separated (default: all that have a reference)")
    p.add_argument("--startup", action="store_true", help="instead: the CPU seconds of commands "
                   "that compute nothing, and their dearest imports")
    weights_option(p)
    p.add_argument("--exported", type=path, metavar="MODEL", help="instead: images per second of a "
                   "model folder by PyTorch, torch.export and ONNX Runtime, in turn")
    p.add_argument("--no-memory", action="store_true", help="leave out the memory (minutes each)")
    p.add_argument("--out", type=path, metavar="FILE", help="write the numbers to a JSON file")


def _stress(p: argparse.ArgumentParser) -> None:
    p.add_argument("--minutes", type=float, default=0.0, help="how long (default: until --kills "
                   "and --inputs are done)")
    p.add_argument("--kills", type=int, default=0, help="SIGKILLs at least")
    p.add_argument("--inputs", type=int, default=0, help="hostile inputs at least")
    p.add_argument("--seed", type=int, default=1, help="what is drawn (default 1)")
    p.add_argument("--only", default="", metavar="NAMES", help="comma-separated targets and faults")
    p.add_argument("--keep", type=path, metavar="DIR", help="where inputs that fail are kept "
                   "(default: a temporary folder, which is named)")
    p.add_argument("--scale", nargs="?", const="1000x224,10000x224,50000x64", metavar="SIZES",
                   help="nothing of this, but what an image costs in large made-up sets: "
                   "time, memory and disk (default 1000x224,10000x224,50000x64: images x pixels; "
                   "--only names methods)")
    p.add_argument("--input", type=path, metavar="FILE", help="take one kept input through the "
                   "target of --only, and stop")


COMMANDS: dict[str, Command] = {
    **{name: _table(definition) for name, definition in TABLES.items()},
    "tables": Command("Tables 1 to 9, one after another", "table:run_all", _tables,
                      defaults={"save_baseline": None}),
    **{name: _figure(definition) for name, definition in FIGURES.items()},
    "figures": Command("all figures and the gallery", "figures:run_all", _figures),
    "export": Command("everything stored as one table, a row per image and cell", "export:run",
                      _export, about_cells=False),
    "compare": Command("are methods different? Paired statistics of stored results",
                       "compare:run", _compare),
    "evaluate": Command("other tools' heatmaps through the same metrics, beside ours",
                        "evaluate:run", _evaluate),
    "study": Command("AE-XAD, or AE, with one open point changed at a time, beside the base and "
                     "the paper", "study:run", _study),
    "run": Command("own images, or a category: table, gallery, overlays, numbers per image and the "
                   "page of it all", "own:run", _run,
                   defaults={"image": None, "save_baseline": None, "json": False, "pictures": "9",
                             "out": None}),
    "fit": Command("train a method on own images or a category, as a model folder for explain",
                   "own:fit", _fit),
    "explain": Command("heatmaps, overlays, binary maps and scores of images, by a model of fit",
                       "own:explain", _explain, about_cells=False),
    "export-model": Command("a model of fit as one file that needs no part of this package: ONNX, "
                            "or torch.export's", "export_model:run", _export_model,
                            about_cells=False),
    "report": Command("one HTML page that shows everything stored; trains nothing", "report:run",
                      _report),
    "audit": Command("check the paper's published numbers against each other", "audit:run", _audit,
                     about_cells=False,
                     description="Check the numbers that the paper prints against each other, "
                                 "without any training. The exit status is 0 whatever is found: "
                                 "findings are results, not failures."),
    "verdict": Command("which of the paper's numbers and sentences hold on what is stored, or on "
                       "the baselines", "verdict:run", _verdict, about_cells=False,
                       description="Compares every published number with ours, and reads the "
                                   "paper's sentences over ours. Nothing is computed. The exit "
                                   "status is 0 whatever is found."),
    "check": Command("train again and compare with a baseline; 1: a metric fell, 2: not comparable",
                     "check:run", _check),
    "fetch": Command("get datasets and pre-trained weights", "fetch:run", _fetch,
                     about_cells=False,
                     description=f"Gets datasets ({', '.join(SOURCES)}; all) and pre-trained "
                                 f"weights ({WEIGHTS}). An interrupted download continues."),
    "verify": Command("which datasets are there, complete and sound", "verify:run", _verify,
                      about_cells=False,
                      description="Looks at every file; exit status 0: nothing wrong, 1: faults. "
                                  "Without --datasets and --categories it looks at what is there; "
                                  "with them, what is missing is a fault."),
    "status": Command("what is done, missing and failed", "status:run", json_option),
    "methods": Command("the methods, or the parameters of one", "methods:run", _methods,
                       about_cells=False),
    "completion": Command("a script that completes commands, options and names in a shell",
                          "completion:run", _completion, about_cells=False),
    "benchmark": Command("speed against naive references, and memory", "benchmark:run", _benchmark,
                         about_cells=False),
    "stress": Command("kills, full disks, odd homes and terminals, hostile input; 1: something was "
                      "lost, or did not end in one clear line", "stress:run", _stress,
                      about_cells=False, description=STRESS),
}
