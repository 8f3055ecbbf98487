"""The files: ONNX and torch.export's .pt2, written whole or not at all, with all that there is to
know of the model inside."""

from __future__ import annotations

import io
import json
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.fx import GraphModule

from aexad import methods
from aexad.bench.base import provenance
from aexad.bench.base.errors import UserError
from aexad.bench.deploy.graphs import INPUT, Size, quiet, taken_down, whole, working_shape
from aexad.bench.results.model import RULE, Model
from aexad.bench.results.store import write_file
from aexad.methods.base import Context
from aexad.methods.weights import Weights

ENDINGS = {"onnx": ".onnx", "torch": ".pt2"}
METADATA = "metadata.json"  # its name among the extra files of a .pt2
READING = ("images: (N, H, W, 3) uint8, RGB, 0 to 255, {any}, turned as their EXIF data say; "
           "of 16-bit grey the highest 8 of data.bits bits. The graph resizes them to {width} x "
           "{height} pixels as Pillow does ({interp}) and scales them to 0 .. 1; what else the "
           "network needs is in it, too")
TILES = "; it cuts them into {count} tiles of {side} x {side} pixels and joins the tiles' maps"
OUTPUTS = {
    "heatmap": "(N, {height}, {width}) float32, higher is more anomalous; enlarge it bilinearly",
    "mask": "(N, {height}, {width}) bool, " + RULE + ", a = {a}",
    "score": "(N,) float64, one an image, higher is more anomalous",
    "k": "(N,) radius of the Gaussian filter, pixels of the working size; 0: not filtered",
}


def export(method: Any, known: Model, path: Path, form: str | None, size: Size | None = None
           ) -> dict[str, str]:
    """Write the whole explanation of a method on the CPU to `path`. form: of ENDINGS, or by the
    file's ending. size: width and height of the images, where they are cut into tiles. Returns the
    file's outputs, name -> what it is. UserError where it can't be."""
    form = chosen(path, form)
    if form == "onnx":
        check_packages()
    program = taken_down(whole(method, known, size), size)
    facts = metadata(known, outputs(program), size)
    content = {"onnx": onnx_bytes, "torch": torch_bytes}[form](program, facts)
    write_file(path, lambda p: p.write_bytes(content))
    said: dict[str, str] = json.loads(facts["outputs"])
    return said


def chosen(path: Path, form: str | None) -> str:
    """The format that is asked for."""
    if form in ENDINGS:
        return form
    if form is not None:
        raise UserError(f"format '{form}': expected {' or '.join(ENDINGS)}")
    for name, ending in ENDINGS.items():
        if path.suffix == ending:
            return name
    raise UserError(f"{path}: its ending names no format ({', '.join(ENDINGS.values())}); give "
                    f"format='onnx' or format='torch'")


def check_packages() -> None:
    """UserError where what writes ONNX is not installed."""
    try:
        import onnx_ir
        import onnxscript
    except ImportError as error:
        raise UserError(f"ONNX needs the package {error.name}, which is not installed: pip install "
                        f"'aexad-bench[onnx]' (in a checkout '.[onnx]')") from None
    assert onnx_ir and onnxscript


def outputs(program: ExportedProgram) -> list[str]:
    """The names of what the graph returns, in order."""
    spec = program.call_spec.out_spec
    assert spec is not None and spec.type is dict, spec
    names: list[str] = spec.context
    return names


def onnx_bytes(program: ExportedProgram, facts: dict[str, str]) -> bytes:
    """The content of an .onnx file; `facts`: its metadata_props."""
    import onnx_ir
    from onnx_ir.passes.common import ClearMetadataAndDocStringPass, RemoveUnusedNodesPass

    [given] = program.graph_signature.user_inputs
    [shape] = [node.meta["val"].shape for node in program.graph.nodes if node.name == given]
    names = ("images", "height", "width")
    axes = ({i: name for i, name in enumerate(names) if not isinstance(shape[i], int)},)
    with quiet():
        made = torch.onnx.export(program, dynamo=True, verbose=False, external_data=False,
                                 input_names=[INPUT], output_names=outputs(program),
                                 dynamic_shapes=axes)
        assert made is not None
        model = made.model
        ClearMetadataAndDocStringPass()(model)  # of each node: paths of this machine
        RemoveUnusedNodesPass()(model)  # a loop has unused numbers, of which ONNX Runtime warns
    model.metadata_props.update(facts)
    model.doc_string = f"{facts['label']}: {facts['input']}"
    model.producer_name, model.producer_version = "aexad-bench", facts["package_version"]
    model.graph.name = facts["method"]
    of_graph = {INPUT: facts["input"], **json.loads(facts["outputs"])}
    for value in (*model.graph.inputs, *model.graph.outputs):
        value.doc_string = of_graph[value.name]
    content: bytes = onnx_ir.to_proto(model).SerializeToString()
    return content


def torch_bytes(program: ExportedProgram, facts: dict[str, str]) -> bytes:
    """The content of a .pt2 file; `facts`: in it as METADATA."""
    for module in program.graph_module.modules():  # a loop's is one within
        for node in module.graph.nodes if isinstance(module, GraphModule) else ():
            node.meta.pop("stack_trace", None)  # paths of this machine
    content = io.BytesIO()
    with quiet():
        torch.export.save(program, content, extra_files={METADATA: json.dumps(facts, indent=1)})
    return content.getvalue()


def metadata(known: Model, names: list[str], size: Size | None = None) -> dict[str, str]:
    """What the file says of itself; what has parts is JSON. size: as for `export`."""
    data = known.data
    height, width = shape = working_shape(known, size)
    said = {name: OUTPUTS.get(name, "(N,)").format(height=height, width=width, a=known.a)
            for name in names}
    reading, tiles = READING, {}
    if data.tiling and size:
        reading += TILES.format(count=data.tiling.count(shape), side=data.size)
        tiles = {"image_size": "{}x{}".format(*size), "working_size": f"{width}x{height}"}
    any_size = "of {} x {} pixels".format(*size) if size else "of any size"
    parts: dict[str, Any] = {
        "fit": asdict(known.fit), "explain": asdict(known.explain), "data": asdict(data),
        "weights_sha256": known.weights, "trained_on": known.about.get("trained_on")}
    return {
        "method": known.method, "label": methods.entry(known.method).label,
        "method_version": str(known.version), "size": str(data.size), "a": str(known.a),
        "seed": str(known.seed), "resize": data.image_interp,
        "channels": "RGB", "scale": "1/255, in the graph",
        "input": reading.format(any=any_size, width=width, height=height,
                                interp=data.image_interp),
        **tiles,
        "model_sha256": known.sha256, "package_version": version("aexad-bench"),
        "written_by": provenance.commit(),
        "outputs": json.dumps(said),
        **{name: json.dumps(part, sort_keys=True) for name, part in parts.items()}}


def make_method(known: Model, state: dict[str, torch.Tensor], weights: Weights
                ) -> Any:
    """A method on the CPU with what another learned, wherever that is."""
    method = methods.load(known.method)(known.fit, known.explain,
                                        Context("cpu", known.seed, weights))
    method.load_state_dict({name: tensor.cpu() for name, tensor in state.items()})
    return method
