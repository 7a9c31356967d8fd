# Clips -> clip tree and annotations, in the forms that the methods read.


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
        raw=raw_folder,
        config=plan.config_file,
        settings=plan.settings("dataset.clips.mode"),
    message:
        "building the clip folders"
    shell:
        "vatrack clips --config {params.config:q} --raw {params.raw:q} --structure {input.structure:q}"
        " --processes {threads} --out {output:q} > {log:q} 2>&1"


# Beside each form lies its store (joint.json.store), an index that is built again where it is missing.
rule convert:
    input:
        raw=RAW,
        official=official_files,
        structure=rules.cut_structure.output,
    output:
        ensure(expand(f"{R}/annotations/{{{{subset}}}}/{{form}}", form=FORMS), non_empty=True),
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
        official=official_json,
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
        "vatrack convert --config {params.config:q} --official {params.official:q} --structure {input.structure:q}"
        " --out {params.out:q} --processes {threads} > {log:q} 2>&1"


FRAMES = ancient(rules.clips.output)
ANNOTATIONS = rules.convert.output
