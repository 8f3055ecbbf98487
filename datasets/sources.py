"""Where the datasets come from, as data: pages, licences, archives, checksums."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Source:
    """page: where the publishers (or the paper) offer the dataset. url, sha256: a direct address
    of the archive `file` and its checksum, '' where none is known. kaggle: the handle there.
    chosen: the paper used a choice of images and masks of its own, which is not published.
    says: where url, sha256 and licence are from."""

    page: str
    licence: str
    file: str
    says: str
    url: str = ""
    sha256: str = ""
    kaggle: str = ""
    chosen: str = ""


_KAGGLE = "https://www.kaggle.com/datasets/"


def _of_kaggle(handle: str, licence: str, chosen: str = "") -> Source:
    """What is known of a dataset that the paper points to on Kaggle."""
    return Source(_KAGGLE + handle, licence, f"{handle.partition('/')[2]}.zip",
                  "the page that the paper names; no published checksum is known",
                  kaggle=handle, chosen=chosen)


SOURCES: dict[str, Source] = {
    "mvtec": Source(
        page="https://www.mvtec.com/company/research/datasets/mvtec-ad",
        licence="CC BY-NC-SA 4.0 (https://creativecommons.org/licenses/by-nc-sa/4.0/), "
                "non-commercial use only; Bergmann et al., CVPR 2019",
        file="mvtec_anomaly_detection.tar.xz",
        # The publisher's share links change from time to time, the archive does not.
        url="https://www.mydrive.ch/shares/150996/b52ecdcbf521176e9db9c731f2304b27/download/"
            "420938113-1629960298/mvtec_anomaly_detection.tar.xz",
        sha256="cf4313b13603bec67abb49ca959488f7eedce2a9f7795ec54446c649ac98cd3d",
        says="checksum as in anomalib's MVTecAD (open-edge-platform/anomalib), link as later "
             "public code gives it; MVTec itself publishes no checksum"),
    "btad": Source(
        page=_KAGGLE + "thtuan/btad-beantech-anomaly-detection",
        licence="CC BY-SA according to the README in the archive (anomalib documents CC BY-NC-SA "
                "4.0); source beanTech srl; Mishra et al., ISIE 2021",
        file="btad.zip",
        url="https://avires.dimi.uniud.it/papers/btad/btad.zip",
        sha256="461c9387e515bfed41ecaae07c50cf6b10def647b36c9e31d239ab2736b10d2a",
        kaggle="thtuan/btad-beantech-anomaly-detection",
        says="the authors' laboratory (AViReS, Udine); checksum as anomalib's BTech has it"),
    "wfdd": _of_kaggle(
        "hodinhtrieu/the-woven-fabric-defect-detection-wfdd",
        "MIT according to its authors' repository (cqylunlun/GLASS); Chen et al., ECCV 2024"),
    "wood": _of_kaggle(
        "nomihsa965/large-scale-image-dataset-of-wood-surface-defects",
        "CC BY 4.0; Kodytek et al., F1000Research 10:581", "76 anomalous and 60 normal images"),
    "hazelnut": _of_kaggle(
        "neurobotdata/hazelnut-cracking-synthetic-dataset",
        "not known to us; read it on the page", "25 anomalous and 75 normal images"),
    "road": _of_kaggle(
        "patelmihir/road-defects-nonaugmented", "not known to us; read it on the page",
        "17 anomalous images of the crack class and 35 normal images"),
}
