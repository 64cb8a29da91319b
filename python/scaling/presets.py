"""Names of the presets; made from Presets.td by utils/generate-presets.py."""

from enum import Enum


class Preset(str, Enum):
    """A published convention; `docs/presets.md` says what each does."""

    mhc = "mhc"
    mhc_sigmoid = "mhc_sigmoid"
    mhc_clamp = "mhc_clamp"
    mhc_log = "mhc_log"
    mhc_columns = "mhc_columns"
    mhc_static = "mhc_static"
    mhc_recip = "mhc_recip"
    sinkformer = "sinkformer"
    superglue = "superglue"
    swav = "swav"
    sela = "sela"
    optvq = "optvq"
    megatron_moe = "megatron_moe"
    gumbel = "gumbel"
    sinkgd = "sinkgd"
    sinq = "sinq"
    kvarn = "kvarn"
    ruiz = "ruiz"
    gebal = "gebal"
    geequb = "geequb"
    pot = "pot"
    pot_log = "pot_log"
    pot_stabilized = "pot_stabilized"
    pot_unbalanced = "pot_unbalanced"
    ott = "ott"
    geomloss = "geomloss"
