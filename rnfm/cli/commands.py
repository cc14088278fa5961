"""All commands, in the order of the road; one list a group."""

from __future__ import annotations

from rnfm.cli.command import Command

DATA = (
    Command(
        "data index",
        "find scans in a public layout, BIDS or a folder; write the cohort table",
        "rnfm.cohort",
        "IndexConfig",
        "index",
    ),
    Command("data split", "patient-grouped hold-out, external centre and folds", "rnfm.cohort", "SplitConfig", "split"),
    Command(
        "data prepare",
        "canonical volumes: RAS, spacing, intensity, masks, findings",
        "rnfm.volume",
        "PrepareConfig",
        "prepare",
    ),
    Command("data shard", "cut sub-volumes into WebDataset tar shards or Zarr", "rnfm.archive", "ShardConfig", "shard"),
    Command("data verify", "check an artefact against its digests", "rnfm.archive", "VerifyConfig", "verify"),
    Command("data show", "what is in an artefact; one sample as a picture", "rnfm.archive", "ShowConfig", "show"),
    Command("data qc", "one page: every scan with its mask, findings, rejects", "rnfm.volume", "QcConfig", "qc"),
    Command("data overlap", "patients and scans that two data sets share", "rnfm.cohort", "OverlapConfig", "overlap"),
    Command(
        "data restore",
        "map a canonical map back into the source scan's grid",
        "rnfm.volume",
        "RestoreConfig",
        "restore_map",
    ),
    Command("data whois", "the identity behind a code (on a terminal only)", "rnfm.cohort", "WhoisConfig", "whois"),
)
TRAIN = (
    Command(
        "pretrain",
        "self-supervised pre-training on DeepSpeed",
        "rnfm.pretrain",
        "PretrainConfig",
        "run",
        launchable=True,
    ),
    Command("embed", "embeddings of every lesion by a foundation", "rnfm.downstream", "EmbedConfig", "embed"),
    Command(
        "finetune",
        "two-channel classifier, from a foundation or from scratch",
        "rnfm.downstream",
        "FinetuneConfig",
        "finetune",
    ),
    Command("baseline", "radiomics, volume-only, clinical-only, ...", "rnfm.downstream", "BaselineConfig", "baseline"),
    Command("fuse", "image embedding + clinical table", "rnfm.downstream", "FuseConfig", "fuse"),
    Command("sweep", "Ray Tune over fine-tuning or fusion", "rnfm.sweep", "SweepConfig", "sweep"),
)
JUDGE = (
    Command("evaluate", "AUCs with intervals, paired tests", "rnfm.report", "EvaluateConfig", "evaluate"),
    Command("report", "one self-contained HTML file", "rnfm.report", "ReportConfig", "write_report"),
    Command(
        "models list",
        "registered foundations and classifiers with their AUCs",
        "rnfm.report",
        "ModelsListConfig",
        "list_models",
    ),
    Command("models show", "one registered version", "rnfm.report", "ModelsShowConfig", "show_model"),
    Command("models compare", "paired test of two registered versions", "rnfm.report", "CompareConfig", "compare"),
    Command("models promote", "move an alias after the comparison", "rnfm.report", "PromoteConfig", "promote"),
    Command("models pull", "fetch a registered version and verify it", "rnfm.report", "PullConfig", "pull"),
    Command(
        "predict",
        "probability and attention map for one scan, or a refusal",
        "rnfm.downstream",
        "PredictConfig",
        "predict",
    ),
    Command("export", "a foundation for users of other tools", "rnfm.foundation", "ExportConfig", "export"),
)
TOOLS = (
    Command("demo", "all of the above, small", "rnfm.cli.demo", "DemoConfig", "demo"),
    Command(
        "doctor",
        "versions, devices, disk, shared memory, ports; what is missing",
        "rnfm.cli.doctor",
        "DoctorConfig",
        "doctor",
    ),
    Command("launch", "print a launch file: torchrun, deepspeed, slurm", "rnfm.cli.launch", "LaunchConfig", "launch"),
    Command("insilico make", "simulated scans in public layouts", "rnfm.insilico", "InsilicoConfig", "make"),
    Command("track sync", "send spooled tracking events to MLflow", "rnfm.tracking.sync", "SyncConfig", "sync"),
)
GROUPS = {"Data": DATA, "Train": TRAIN, "Judge and use": JUDGE, "Tools": TOOLS}
COMMANDS = tuple(command for group in GROUPS.values() for command in group)
