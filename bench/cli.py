"""The command line: what the person asked for, as a plan; mistakes as one line and status 2."""

from __future__ import annotations

import argparse
import dataclasses
import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from shutil import get_terminal_size

import torch
from tabulate import tabulate

import methods
from bench import baseline, plan, render
from bench.emissions import check_country
from bench.errors import UserError, nearest
from bench.plan import Cell
from bench.provenance import REPOSITORY
from bench.runner import Runner, default_device
from bench.settings import PROTOCOLS, Settings
from bench.store import write_file
from bench.tables import TABLES, TableDef, build
from bench.task import Options
from datasets.category import Library
from datasets.catalog import DATASETS, all_categories

COMMAND = os.environ.get("AEXAD_COMMAND", "python -m bench")
FILE_WIDTH = 250  # columns, where the output goes to a file
INTERRUPTED = 130  # the shell's status for Ctrl-C


class Parser(argparse.ArgumentParser):
    """Mistakes end in one line."""

    def error(self, message: str) -> None:
        print(f"error: {message}; see {COMMAND} --help", file=sys.stderr)
        raise SystemExit(2)


def parser() -> Parser:
    tables = ", ".join(TABLES)
    p = Parser(prog=COMMAND, formatter_class=argparse.RawDescriptionHelpFormatter,
               description=f"Reproduce the tables of 'Explaining Anomalies through Semi-supervised "
                           f"Autoencoders' (AE-XAD).\n\ncommands:\n"
                           f"  {tables}\n                 train and test what the table needs, and "
                           f"print it\n"
                           f"  status         what is done, missing and failed\n"
                           f"  methods [NAME] the methods, or the parameters of one\n"
                           f"  benchmark      speed against naive references\n"
                           f"  test           the test suite (arguments go to pytest)",
               epilog="Datasets are looked for in --data-root; where none is there, the embedded "
                      "suite of generated images is used, and said.")
    p.add_argument("command", help=argparse.SUPPRESS)
    p.add_argument("name", nargs="?", help=argparse.SUPPRESS)
    what = p.add_argument_group("what to compute")
    what.add_argument("--methods", help="comma-separated; default: those of the table")
    what.add_argument("--datasets", help=f"comma-separated, of {', '.join(DATASETS)}")
    what.add_argument("--categories", help="comma-separated, as mvtec/bottle or bottle")
    what.add_argument("--scenario", choices=plan.SCENARIOS, help="default: the table's")
    what.add_argument("--seeds", default="40", help="comma-separated (default 40, the authors')")
    what.add_argument("--protocol", help=f"parameters: {', '.join(PROTOCOLS)} (default paper; "
                                         f"mini on the embedded suite)")
    what.add_argument("--epochs", type=int, help="epochs of every method")
    what.add_argument("--set", action="append", default=[], metavar="OWNER.FIELD=VALUE",
                      help="one parameter, OWNER a method, data or metrics; repeatable")
    how = p.add_argument_group("how to compute it")
    how.add_argument("--data-root", help="folder of the datasets (default $AEXAD_DATA, else data/)")
    how.add_argument("--results", help="where results are kept (default $AEXAD_RESULTS, else "
                                       "results/)")
    how.add_argument("--weights", help="folder of pre-trained weights, looked into first; or a "
                     "file, which serves one network")
    how.add_argument("--device", default="auto", help="cpu, cuda, cuda:1, … (default: cuda where "
                                                      "there is one)")
    how.add_argument("--threads", type=int, default=min(os.cpu_count() or 1, 8),
                     help="threads of each fit (default %(default)s)")
    how.add_argument("--jobs", type=int, default=1, help="fits at a time (default 1)")
    how.add_argument("--country", default="ITA", help="whose energy mix (default ITA, the paper's)")
    how.add_argument("--checkpoint-every", type=float, default=20.0, metavar="SECONDS",
                     help="how much of a fit an interruption may cost (default 20)")
    how.add_argument("--keep-maps", action="store_true", help="keep the heatmaps (float32)")
    how.add_argument("--save-baseline", metavar="FILE", help="write the table's cells with their "
                     "provenance to a JSON file")
    how.add_argument("--note", default="", help="what a reader of that file must know")
    how.add_argument("--dry-run", action="store_true", help="say what would be done, and stop")
    return p


@dataclass(frozen=True)
class Request:
    """A command line understood: settings, rows, and how to run."""

    settings: Settings
    options: Options
    rows: list[tuple[str, str]] | None  # None: the table's own
    embedded: bool
    looked_in: Path
    seeds: list[int]
    args: argparse.Namespace


def understand(args: argparse.Namespace) -> Request:
    """Check every option before anything runs (UserError)."""
    root = _data_root(args.data_root)
    cache = Path(os.environ.get("AEXAD_CACHE", REPOSITORY / ".cache"))
    rows = _rows(args.datasets, args.categories)
    library = Library(root, cache)
    found = any(library.locate(d, c) for d, c in all_categories(tuple(DATASETS)) if d != "embedded")
    embedded = not found if rows is None else all(d == "embedded" for d, _ in rows)
    settings = Settings(args.protocol or ("mini" if embedded else "paper"), args.epochs, args.set)
    for name, value in (("threads", args.threads), ("jobs", args.jobs)):
        if value < 1:
            raise UserError(f"--{name} {value}: must be at least 1")
    results = Path(args.results or os.environ.get("AEXAD_RESULTS", REPOSITORY / "results"))
    options = Options(results, root, cache, Path(args.weights) if args.weights else None,
                      _device(args.device), args.threads, check_country(args.country),
                      keep_maps=args.keep_maps, checkpoint_every=args.checkpoint_every)
    return Request(settings, options, rows, embedded, root, _seeds(args.seeds), args)


def _data_root(given: str | None) -> Path:
    asked = given or os.environ.get("AEXAD_DATA")
    if asked and not Path(asked).is_dir():
        raise UserError(f"{'--data-root' if given else 'AEXAD_DATA'} {asked}: no such folder")
    return Path(asked) if asked else REPOSITORY / "data"


def _rows(datasets: str | None, categories: str | None) -> list[tuple[str, str]] | None:
    """The (dataset, category) pairs asked for, in the paper's order; None: nothing was asked."""
    names = _words(datasets) or list(DATASETS)
    for name in names:
        if name not in DATASETS:
            raise UserError(f"unknown dataset '{name}'{nearest(name, DATASETS)}")
    pairs = all_categories(tuple(d for d in DATASETS if d in names))
    if not categories:
        return pairs if datasets else None
    wanted = set()
    for word in _words(categories):
        found = [p for p in pairs if word in (p[1], "/".join(p))]
        exact = [p for p in found if word == "/".join(p)]
        if not found:
            known = ["/".join(p) for p in pairs] + [p[1] for p in pairs]
            raise UserError(f"unknown category '{word}'{nearest(word, known)}")
        if len(found) > 1 and not exact:
            raise UserError(f"category '{word}' is in several datasets: write "
                            f"{' or '.join('/'.join(p) for p in found)}")
        wanted.add((exact or found)[0])
    return [p for p in pairs if p in wanted]


def _words(text: str | None) -> list[str]:
    return [w for w in (text or "").replace(",", " ").split() if w]


def _seeds(text: str) -> list[int]:
    try:
        seeds = [int(w) for w in _words(text)]
    except ValueError:
        seeds = []
    if not seeds or min(seeds) < 0 or max(seeds) >= 2**32:
        raise UserError(f"--seeds {text}: expected whole numbers such as 40,41,42")
    return list(dict.fromkeys(seeds))


def _device(text: str) -> str:
    if text == "auto":
        return default_device()
    try:
        kind = torch.device(text).type
    except RuntimeError:
        kind = "unknown"
    if kind not in ("cpu", "cuda"):
        raise UserError(f"--device {text}: expected cpu or cuda")
    if kind == "cuda" and not torch.cuda.is_available():
        raise UserError(f"--device {text}: no CUDA device is visible to torch")
    return text


def _table_cells(request: Request, definition: TableDef
                 ) -> tuple[list[Cell], list[tuple[str, str]], list[str]]:
    args = request.args
    names = _words(args.methods) or [m for m in definition.methods if m in methods.entries()]
    for name in names:
        methods.entry(name)
    datasets = ("embedded",) if request.embedded else definition.datasets
    rows = request.rows if request.rows is not None else all_categories(datasets)
    scenario = args.scenario or definition.scenario
    return (plan.cells(request.settings, names, rows, scenario, request.seeds), rows, names)


def table(request: Request, definition: TableDef) -> int:
    """Compute what the table needs, print it and write it under results/tables."""
    args, settings = request.args, request.settings
    definition = dataclasses.replace(definition, scenario=args.scenario or definition.scenario)
    cells, rows, names = _table_cells(request, definition)
    runner = Runner(request.options, args.jobs)
    scenario = definition.scenario.replace("_", " ")
    title = f"{definition.title} [{scenario} scenario, protocol {settings.protocol}]"
    if request.embedded:
        why = "" if request.rows else f": no dataset found in {request.looked_in}"
        title += f" — EMBEDDED SUITE of generated images{why}"
        print(f"note: the embedded suite of generated images is used{why}", file=sys.stderr)
    if args.dry_run:
        print(runner.describe(cells))
        return 0
    failures = runner.run(cells)
    records = runner.records(cells)
    for metric in ("f1", "iou"):
        column = settings.metrics.column(metric)
        records[metric] = records[column] if column in records else None
    labels = {name: methods.entry(name).label for name in methods.entries()}
    made = build(records, definition, rows, names, labels, title)
    shown = sys.stdout.isatty()
    print(render.terminal(made, get_terminal_size().columns if shown else FILE_WIDTH, shown))
    _write(request, definition, made)
    if args.save_baseline:
        command = f"{COMMAND} {shlex.join(args.words)}"
        count = baseline.save(Path(args.save_baseline), cells, runner.store, command, args.note)
        print(f"written: {args.save_baseline} ({count} cells)", file=sys.stderr)
    for line in failures:
        print(f"failed: {line}", file=sys.stderr)
    return 1 if failures else 0


def _write(request: Request, definition: TableDef, made: object) -> None:
    stem = definition.name + ("-embedded" if request.embedded else "")
    if request.settings.protocol != "paper":
        stem += f"-{request.settings.protocol}"
    folder = request.options.results / "tables"
    for suffix, text in (("md", render.markdown(made)), ("tex", render.latex(made)),
                         ("csv", render.csv(made))):
        write_file(folder / f"{stem}.{suffix}",
                   lambda p, text=text: p.write_text(text, encoding="utf-8"))
    print(f"written: {folder / stem}.md, .tex, .csv", file=sys.stderr)


def status(request: Request) -> int:
    """What is done, missing and failed for every table."""
    runner = Runner(request.options)
    lines, reasons = [], []
    for definition in TABLES.values():
        records = runner.records(_table_cells(request, definition)[0])
        counts = records.groupby(["method", "status"], sort=False).size().unstack(fill_value=0)
        for method, row in counts.iterrows():
            lines.append({"table": definition.name, "method": method, **row.to_dict()})
        reasons += [f"{r.status}: {r.dataset}/{r.category} {r.method} seed {r.seed}: {r.reason}"
                    for r in records.itertuples()
                    if r.status == "failed" or "interrupted" in r.reason]
    order = ("table", "method", "done", "missing", "failed", "skipped", "no data")
    print(f"protocol {request.settings.protocol}, results in {request.options.results}, data in "
          f"{request.looked_in}" + (" (none: embedded suite)" if request.embedded else ""))
    print(tabulate([[line.get(k, 0) for k in order] for line in lines], order))
    print("\n".join(dict.fromkeys(reasons)))
    return 0


def show_methods(name: str | None, settings: Settings) -> int:
    """All methods, or all parameters of one with their values under the protocol."""
    if name is None:
        rows = [(n, e.label, e.trained_as or "", (methods.load(n).__doc__ or "").split("\n")[0])
                for n, e in methods.entries().items()]
        print(tabulate(rows, ("method", "in tables", "trained as", "what it is")))
        return 0
    methods.entry(name)
    for title, params in (("fit", settings.fit(name)), ("explain", settings.explain(name))):
        owner = methods.trained_as(name) if title == "fit" else name
        rows = [(f"{owner}.{f.name}", getattr(params, f.name), f.metadata.get("doc", ""),
                 ", ".join(map(str, f.metadata.get("choices") or ())))
                for f in dataclasses.fields(params)]
        print(tabulate(rows, (f"{title} parameter", "value", "what it is", "choices"),
                       maxcolwidths=[None, None, 60, 40]), end="\n\n")
    return 0


def dispatch(args: argparse.Namespace) -> int:
    if args.command == "methods":
        return show_methods(args.name, Settings(args.protocol or "paper", args.epochs, args.set))
    if args.name is not None:
        raise UserError(f"'{args.name}': {args.command} takes no name")
    if args.command == "benchmark":
        from bench import benchmark  # its references need scikit-learn, nothing else does

        return benchmark.main(args.threads)
    if args.command == "status":
        return status(understand(args))
    if args.command in TABLES:
        return table(understand(args), TABLES[args.command])
    known = [*TABLES, "status", "methods", "benchmark", "test"]
    raise UserError(f"unknown command '{args.command}'{nearest(args.command, known)}")


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 done, 1 something failed, 2 bad input, 130 interrupted."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        args = parser().parse_args(words or ["--help"])
        args.words = words
        return dispatch(args)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\nstopped; what is finished is kept, and the same command continues: {COMMAND} "
              f"{shlex.join(words)}", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # `| head` has seen enough; what was to be written is on disk
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
