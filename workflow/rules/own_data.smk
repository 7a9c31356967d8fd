# Own annotations (dataset.format: joint) -> what the methods read. Frames are used where they are.

FRAMES = ancient(plan.raw_folder)


# As in data.smk: data that have passed need not pass again, so the settings are no params.
rule validate:
    input:
        images=FRAMES,
        official=official_files,
    output:
        touch(f"{R}/validated"),
    log:
        f"{R}/logs/validate.log",
    benchmark:
        f"{R}/benchmarks/validate.tsv"
    conda:
        "../../envs/vatrack.yaml"
    threads: 2
    resources:
        mem_mb=3000,
        runtime=240,
    params:
        config=plan.config_file,
        # Not an output: Snakemake would remove it when data are bad, just when it is wanted.
        report=f"{R}/validation.json",
    message:
        "checking frames and annotations"
    shell:
        "vatrack validate --config {params.config:q} --processes {threads}"
        " --out {params.report:q} > {log:q} 2>&1"


rule prepare:
    input:
        official=plan.official_json,
        validated=rules.validate.output,
        images=FRAMES,
    output:
        ensure(expand(f"{R}/annotations/{{{{subset}}}}/{{form}}", form=plan.forms), non_empty=True),
    log:
        f"{R}/logs/prepare/{{subset}}.log",
    benchmark:
        f"{R}/benchmarks/prepare/{{subset}}.tsv"
    conda:
        "../../envs/vatrack.yaml"
    threads: 1
    resources:
        mem_mb=3000,
        runtime=240,
    params:
        config=plan.config_file,
        out=subpath(output[0], parent=True),
        # Without dataset.validation and methods, which say when it stops, not what it writes: all
        # forms that the masks allow.
        settings=plan.settings(
            "dataset.joint_box",
            "dataset.max_occlusion",
            "dataset.max_occlusion_inclusive",
            "dataset.video_max_occlusion",
            "dataset.video_max_occlusion_inclusive",
            "dataset.classes",
        ),
    message:
        "completing the annotations of {wildcards.subset}"
    shell:
        "vatrack prepare --config {params.config:q} --subset {wildcards.subset}"
        " --out {params.out:q} > {log:q} 2>&1"


ANNOTATIONS = rules.prepare.output
