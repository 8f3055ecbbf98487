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
    "wfdd": Source(
        page=_KAGGLE + "hodinhtrieu/the-woven-fabric-defect-detection-wfdd",
        licence="MIT according to its authors' repository (cqylunlun/GLASS); Chen et al., "
                "ECCV 2024",
        file="the-woven-fabric-defect-detection-wfdd.zip",
        kaggle="hodinhtrieu/the-woven-fabric-defect-detection-wfdd",
        says="the page that the paper names; no published checksum is known"),
    "wood": Source(
        page=_KAGGLE + "nomihsa965/large-scale-image-dataset-of-wood-surface-defects",
        licence="CC BY 4.0; Kodytek et al., F1000Research 10:581",
        file="large-scale-image-dataset-of-wood-surface-defects.zip",
        kaggle="nomihsa965/large-scale-image-dataset-of-wood-surface-defects",
        chosen="76 anomalous and 60 normal images",
        says="the page that the paper names; no published checksum is known"),
    "hazelnut": Source(
        page=_KAGGLE + "neurobotdata/hazelnut-cracking-synthetic-dataset",
        licence="not known to us; read it on the page",
        file="hazelnut-cracking-synthetic-dataset.zip",
        kaggle="neurobotdata/hazelnut-cracking-synthetic-dataset",
        chosen="25 anomalous and 75 normal images",
        says="the page that the paper names; no published checksum is known"),
    "road": Source(
        page=_KAGGLE + "patelmihir/road-defects-nonaugmented",
        licence="not known to us; read it on the page",
        file="road-defects-nonaugmented.zip",
        kaggle="patelmihir/road-defects-nonaugmented",
        chosen="17 anomalous images of the crack class and 35 normal images",
        says="the page that the paper names; no published checksum is known"),
}
