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
    threads: 2
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        config=CONFIG_FILE,
        settings=settings("seed", "dataset.synthetic"),
    message:
        "rendering the miniature set in SAIL-VOS's raw layout"
    shell:
        "vatrack synth --config {params.config:q} --processes {threads} --out {output:q} > {log:q} 2>&1"


rule index:
    input:
        raw=RAW,
        official=OFFICIAL,
    output:
        f"{R}/index.json",
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
        train=TRAIN_JSON,
        valid=VALID_JSON,
    message:
        "listing the annotated frames of every video"
    shell:
        "vatrack index --raw {input.raw:q} --train {params.train:q} --valid {params.valid:q} --out {output:q} > {log:q} 2>&1"


rule cut_scores:
    input:
        raw=RAW,
        index=rules.index.output,
    output:
        f"{R}/cuts/scores/{{video}}.json",
    log:
        f"{R}/logs/cut_scores/{{video}}.log",
    benchmark:
        f"{R}/benchmarks/cut_scores/{{video}}.tsv"
    group:
        "cut_scores"
    conda:
        "../../envs/vatrack.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=60,
    message:
        "measuring content changes in {wildcards.video}"
    shell:
        "vatrack cuts score --raw {input.raw:q} --index {input.index:q} --video {wildcards.video:q} --out {output:q} > {log:q} 2>&1"


rule cut_structure:
    input:
        index=rules.index.output,
        scores=SCORES,
        cuts=CUTS,
    output:
        f"{R}/cuts/structure.json",
    log:
        f"{R}/logs/cut_structure.log",
    benchmark:
        f"{R}/benchmarks/cut_structure.tsv"
    conda:
        "../../envs/vatrack.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        config=CONFIG_FILE,
        scores=SCORES_OPTION,
        settings=settings(
            "dataset.clips.structure",
            "dataset.clips.threshold",
            "dataset.clips.min_frames",
        ),
    message:
        "deciding where videos are cut into clips"
    shell:
        "vatrack cuts structure --config {params.config:q} --index {input.index:q} {params.scores} --out {output:q} > {log:q} 2>&1"


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
    threads: 1
    resources:
        mem_mb=2000,
        runtime=600,
    params:
        config=CONFIG_FILE,
        settings=settings("dataset.clips.mode"),
    message:
        "building the clip tree"
    shell:
        "vatrack clips --config {params.config:q} --raw {input.raw:q} --structure {input.structure:q} --out {output:q} > {log:q} 2>&1"


rule convert:
    input:
        raw=RAW,
        official=OFFICIAL,
        structure=rules.cut_structure.output,
    output:
        expand(f"{R}/annotations/{{{{subset}}}}/{{form}}", form=FORMS),
    log:
        f"{R}/logs/convert/{{subset}}.log",
    benchmark:
        f"{R}/benchmarks/convert/{{subset}}.tsv"
    conda:
        "../../envs/vatrack.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=240,
    params:
        config=CONFIG_FILE,
        official=official_json,
        out=subpath(output[0], parent=True),
        settings=settings(
            "dataset.clips.mode",
            "dataset.max_occlusion",
            "dataset.video_max_occlusion",
        ),
    message:
        "converting the annotations of {wildcards.subset}"
    shell:
        "vatrack convert --config {params.config:q} --official {params.official:q} --structure {input.structure:q}"
        " --out {params.out:q} > {log:q} 2>&1"
