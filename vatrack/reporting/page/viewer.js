// Plays clips: one video holds all views of a clip as tiles; two of them are drawn side by side, or
// one over the other with a divider between them.
(() => {
  "use strict";
  const root = document.getElementById("viewer");
  if (!root) return;
  const {runs} = JSON.parse(document.getElementById("viewer-data").textContent);
  const NAMES = {input: "Input", truth: "Ground truth", prediction: "Prediction"};
  const find = selector => root.querySelector(selector);
  const [first, second] = root.querySelectorAll("canvas");
  const stage = find(".stage"), wipe = find(".wipe"), time = find(".time"), play = find(".play");
  // At first a run with the most views: one that has both masks, if there is any.
  const start = runs.reduce((best, run, place) => run.views.length > runs[best].views.length ? place : best, 0);
  const state = {clip: runs[start].clips[0].name, masks: null, beside: false, playing: false,
    sides: [{run: start, view: "truth"}, {run: start, view: "prediction"}]};
  const videos = new Map();
  const clipOf = run => runs[run].clips.find(clip => clip.name === state.clip);
  const typesOf = run => runs[run].views.filter(view => view.startsWith("truth/")).map(view => view.slice(6));

  function videoOf(run) {
    const clip = clipOf(run), key = `${run} ${clip.name}`;
    if (!videos.has(key)) {
      const video = document.createElement("video");
      Object.assign(video, {muted: true, playsInline: true, loop: true, preload: "auto"});
      video.addEventListener("loadeddata", draw);
      video.addEventListener("seeked", draw);
      video.addEventListener("error", () => { video.broken = true; draw(); });
      video.src = clip.video;
      const place = runs[run].clips.indexOf(clip);
      const image = document.querySelector(`.gallery[data-run="${run}"] .clip[data-clip="${place}"] img`);
      image.addEventListener("load", draw);
      videos.set(key, {video, image});
    }
    return videos.get(key);
  }
  const choice = (box, items, chosen, pick) => {
    box.replaceChildren(...items.map(([key, text, off]) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = text;
      button.disabled = Boolean(off);
      button.setAttribute("aria-pressed", String(key === chosen));
      button.addEventListener("click", () => pick(key));
      return button;
    }));
  };
  // The view of a side: the chosen type of masks where the run has it.
  const viewOf = side => {
    if (side.view === "input") return "input";
    const types = typesOf(side.run);
    return `${side.view}/${types.includes(state.masks) ? state.masks : types[0]}`;
  };
  const tagOf = side => {
    const [view, masks] = viewOf(side).split("/");
    const name = runs.length > 1 && view === "prediction" ? `, ${runs[side.run].name}` : "";
    return NAMES[view] + (masks ? `, ${masks}` : "") + name;
  };
  function tile(context, side, left, width, clipFrom, clipTo) {
    const run = runs[side.run], [w, h] = run.tile, view = viewOf(side);
    const number = run.views.indexOf(view), height = width * h / w;
    const {video, image} = videoOf(side.run);
    context.save();
    context.beginPath();
    context.rect(clipFrom, 0, clipTo - clipFrom, height);
    context.clip();
    context.imageSmoothingQuality = "high";
    if (video.readyState >= 2) {
      context.drawImage(video, number % run.columns * w, Math.floor(number / run.columns) * h, w, h, left, 0, width, height);
    } else if (image.complete && image.naturalWidth) {
      context.drawImage(image, view.startsWith("prediction") ? w : 0, 0, w, h, left, 0, width, height);
    }
    context.restore();
  }
  function fit(canvas) {
    const [w, h] = runs[state.sides[0].run].tile, width = Math.max(w, Math.round(canvas.clientWidth * (devicePixelRatio || 1)));
    const height = Math.round(width * h / w);
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, {width, height});
    return width;
  }
  function draw() {
    const [left, right] = state.sides, width = fit(first), context = first.getContext("2d");
    context.clearRect(0, 0, first.width, first.height);
    if (state.beside) {
      tile(context, left, 0, width, 0, width);
      const other = fit(second);
      tile(second.getContext("2d"), right, 0, other, 0, other);
    } else {
      const at = width * wipe.value / 1000;
      tile(context, left, 0, width, 0, at);
      tile(context, right, 0, width, at, width);
    }
    find(".divider").style.left = `${wipe.value / 10}%`;
    const {video} = videoOf(left.run), clip = clipOf(left.run), rate = runs[left.run].rate;
    const frame = Math.min(clip.frames - 1, Math.round(video.currentTime * rate - 0.25));
    time.value = Math.max(0, frame);
    find("output").textContent = `frame ${Math.max(0, frame)} (0 to ${clip.frames - 1})`;
  }
  const used = () => [...new Set(state.sides.map(side => videoOf(side.run).video))];
  function loop() {
    if (!state.playing) return;
    const [master, slave] = used();
    // A second video follows the first one.
    if (slave && Math.abs(slave.currentTime - master.currentTime) > 0.09) slave.currentTime = master.currentTime;
    draw();
    requestAnimationFrame(loop);
  }
  function setPlaying(on) {
    state.playing = on;
    play.textContent = on ? "❚❚" : "▶";
    play.setAttribute("aria-label", on ? "Pause" : "Play");
    for (const {video} of videos.values()) if (!on || !used().includes(video)) video.pause();
    if (on) { for (const video of used()) video.play().catch(() => {}); loop(); }
  }
  function seek(frame) {
    const seconds = (frame + 0.5) / runs[state.sides[0].run].rate;
    for (const video of used()) video.currentTime = seconds;
  }
  function update(restart) {
    for (const side of state.sides) if (!clipOf(side.run)) side.run = runs.findIndex((_, run) => clipOf(run));
    const types = [...new Set(state.sides.flatMap(side => typesOf(side.run)))];
    if (!types.includes(state.masks)) state.masks = types[0];
    root.querySelectorAll(".side").forEach((box, number) => {
      const side = state.sides[number], select = box.querySelector("select");
      select.replaceChildren(...runs.map((run, place) => {
        const option = new Option(run.name, place, false, place === side.run);
        option.disabled = !clipOf(place);
        return option;
      }));
      select.hidden = runs.length < 2;
      choice(box.querySelector(".choice"), Object.entries(NAMES), side.view, view => { side.view = view; update(); });
    });
    choice(find(".masks"), ["amodal", "visible"].filter(name => types.includes(name)).map(name => [name, name[0].toUpperCase() + name.slice(1)]),
      state.masks, masks => { state.masks = masks; update(); });
    choice(find(".layout"), [[false, "Slider"], [true, "Side by side"]], state.beside, beside => { state.beside = beside; update(); });
    stage.classList.toggle("beside", state.beside);
    const [left, right] = state.sides.map(tagOf);
    stage.querySelector(".left").textContent = left;
    stage.querySelectorAll(".right").forEach(tag => { tag.textContent = right; });
    const clip = clipOf(state.sides[0].run);
    time.max = clip.frames - 1;
    const broken = used().some(video => video.broken);
    const short = runs[state.sides[0].run].short;
    const value = clip.value === null ? `${short} not defined` : `${short} ${clip.value.toFixed(1)}`;
    find(".caption").textContent = `${clip.name}: ${value}` + (clip.frames < clip.of_frames ? `, first ${clip.frames} of ${clip.of_frames} frames` : `, ${clip.frames} frame${clip.frames === 1 ? "" : "s"}`)
      + (broken ? ". The video cannot be played: it was moved, or this browser cannot decode it." : "");
    for (const gallery of document.querySelectorAll(".gallery")) {
      const number = Number(gallery.dataset.run);
      gallery.querySelectorAll(".clip").forEach((button, place) => {
        const current = runs[number].clips[place].name === state.clip && state.sides.some(side => side.run === number);
        button.setAttribute("aria-current", String(current));
      });
    }
    if (restart) seek(clip.fullest);
    else { const at = used()[0].currentTime; for (const video of used()) if (Math.abs(video.currentTime - at) > 0.01) video.currentTime = at; }
    draw();
    if (state.playing) setPlaying(true);
  }
  root.querySelectorAll(".side select").forEach((select, number) => select.addEventListener("change", () => {
    state.sides[number].run = Number(select.value);
    update();
  }));
  wipe.addEventListener("input", draw);
  time.addEventListener("input", () => { setPlaying(false); seek(Number(time.value)); });
  play.addEventListener("click", () => setPlaying(!state.playing));
  for (const gallery of document.querySelectorAll(".gallery")) {
    const number = Number(gallery.dataset.run);
    gallery.querySelectorAll(".clip").forEach((button, place) => button.addEventListener("click", () => {
      state.clip = runs[number].clips[place].name;
      state.sides.forEach(side => { side.run = number; });
      update(true);
      root.scrollIntoView({block: "start"});
    }));
  }
  addEventListener("resize", draw);
  update(true);
})();
