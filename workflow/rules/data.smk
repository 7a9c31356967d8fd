# Raw frames -> cuts -> clips -> annotations.


rule synth:
    output:
        directory(f"{R}/raw"),
    log:
        f"{R}/logs/synth.log",
    benchmark:
        f"{R}/benchmarks/synth.tsv"
    conda:
        "../../envs/vatrack.yaml"
    threads: plan.threads(2)
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        config=plan.config_file,
        settings=plan.settings("seed", "dataset.synthetic"),
    message:
        "rendering the miniature dataset in SAIL-VOS's raw layout"
    shell:
        "vatrack synth --config {params.config:q} --processes {threads} --out {output:q}"
        " > {log:q} 2>&1"


if plan.archives:

    checkpoint unpack:
        input:
            plan.archives,
        output:
            plan.unpacked,
        log:
            f"{R}/logs/unpack.log",
        benchmark:
            f"{R}/benchmarks/unpack.tsv"
        conda:
            "../../envs/vatrack.yaml"
        threads: 2
        resources:
            mem_mb=1000,
            runtime=1440,
        params:
            config=plan.config_file,
            raw=plan.raw_tree,
            # Not the checksums: writing them down later is no reason to unpack again.
            settings=[plan.archives, plan.dataset.archive_strip],
        message:
            "unpacking {input}"
        shell:
            "vatrack unpack --config {params.config:q} --out {params.raw:q} --workers {threads}"
            " --record {output:q} > {log:q} 2>&1"


# Stops before hours of work are wasted; the report stays where it is when the rule fails. Its
# settings are not among the params: data that have passed need not pass again, and all that follows
# would be repeated.
rule validate:
    input:
        raw=RAW,
        official=official_files,
    output:
        touch(f"{R}/validated"),
    log:
        f"{R}/logs/validate.log",
    benchmark:
        f"{R}/benchmarks/validate.tsv"
    conda:
        "../../envs/vatrack.yaml"
    threads: plan.threads(2)
    resources:
        mem_mb=3000,
        runtime=720,
    params:
        raw=plan.raw_tree,
        config=plan.config_file,
        # Not an output: Snakemake would remove it when data are bad, just when it is wanted.
        report=f"{R}/validation.json",
        train=plan.train_json,
        valid=plan.valid_json,
    message:
        "checking the raw frames and their annotations"
    shell:
        "vatrack validate --config {params.config:q} --raw {params.raw:q}"
        " --train {params.train:q} --valid {params.valid:q}"
        " --processes {threads} --out {params.report:q} > {log:q} 2>&1"


rule index:
    input:
        raw=RAW,
        official=official_files,
        validated=rules.validate.output,
    output:
        ensure(f"{R}/index.json", non_empty=True),
    log:
        f"{R}/logs/index.log",
    benchmark:
        f"{R}/benchmarks/index.tsv"
    conda:
        "../../envs/vatrack.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        raw=plan.raw_tree,
        train=plan.train_json,
        valid=plan.valid_json,
    message:
        "listing the annotated frames of every video"
    shell:
        "vatrack index --raw {params.raw:q} --train {params.train:q} --valid {params.valid:q}"
        " --out {output:q} > {log:q} 2>&1"


include: "cuts.smk"  # listed frames -> cuts


rule clips:
    input:
        raw=RAW,
        structure=rules.cut_structure.output,
    output:
        directory(f"{R}/clips"),
    log:
        f"{R}/logs/clips.log",
    benchmark:
        f"{R}/benchmarks/clips.tsv"
    conda:
        "../../envs/vatrack.yaml"
    threads: plan.threads(2)
    resources:
        mem_mb=2000,
        runtime=600,
    params:
        raw=plan.raw_tree,
        config=plan.config_file,
        settings=plan.settings("dataset.clips.mode"),
    message:
        "building the clip folders"
    shell:
        "vatrack clips --config {params.config:q} --raw {params.raw:q}"
        " --structure {input.structure:q}"
        " --processes {threads} --out {output:q} > {log:q} 2>&1"


# Beside each form lies its store (joint.json.store), an index that is built again where it is
# missing.
rule convert:
    input:
        raw=RAW,
        official=official_files,
        structure=rules.cut_structure.output,
    output:
        ensure(expand(f"{R}/annotations/{{{{subset}}}}/{{form}}", form=FORM_FILES), non_empty=True),
    log:
        f"{R}/logs/convert/{{subset}}.log",
    benchmark:
        f"{R}/benchmarks/convert/{{subset}}.tsv"
    conda:
        "../../envs/vatrack.yaml"
    threads: plan.threads(2)
    resources:
        mem_mb=3000,
        runtime=240,
    params:
        config=plan.config_file,
        official=plan.official_json,
        out=subpath(output[0], parent=True),
        # Of the ways into the clip tree only this one changes the names of the frames.
        png=plan.dataset.clips.mode == "png",
        settings=plan.settings(
            "dataset.joint_box",
            "dataset.max_occlusion",
            "dataset.max_occlusion_inclusive",
            "dataset.video_max_occlusion",
            "dataset.video_max_occlusion_inclusive",
            *plan.own_classes,
        ),
    message:
        "converting the annotations of {wildcards.subset}"
    shell:
        "vatrack convert --config {params.config:q} --official {params.official:q}"
        " --structure {input.structure:q}"
        " --out {params.out:q} --processes {threads} > {log:q} 2>&1"


FRAMES = ancient(rules.clips.output)
ANNOTATIONS = rules.convert.output
