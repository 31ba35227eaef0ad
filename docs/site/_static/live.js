// Widgets without Python: draws the controls that author/site/live.py has recorded, and looks up what each setting shows.
// The records are in window.labkitSnapshots, put there by the scripts in _static/live/.
(() => {
  const element = (tag, properties) => Object.assign(document.createElement(tag), properties);

  function draw(control, id, changed) {
    const last = control.positions.length - 1;
    const row = element("div", { className: "labkit-live-row" });
    const label = element("label", { textContent: control.label, htmlFor: id });
    let input, position;
    const said = element("output", { htmlFor: id });
    if (control.kind === "range") {
      input = element("input", { type: "range", min: 0, max: last, value: control.start });
      position = () => Number(input.value);
    } else if (control.kind === "checkbox") {
      input = element("input", { type: "checkbox", checked: control.start === 1 });
      position = () => Number(input.checked);
    } else {
      input = element("select", {});
      control.positions.forEach((text, at) => input.append(new Option(text, at, false, at === control.start)));
      position = () => input.selectedIndex;
    }
    input.id = id;
    row.append(label, input);
    if (control.kind === "range") row.append(said);
    const say = () => {
      if (control.kind !== "range") return;
      said.textContent = control.positions[position()];
      input.setAttribute("aria-valuetext", said.textContent);
    };
    input.addEventListener("input", () => { say(); changed(); });
    say();
    return { row, position };
  }

  document.querySelectorAll(".labkit-live").forEach((place, number) => {
    const found = (window.labkitSnapshots || {})[place.dataset.snapshots];
    if (!found) return;
    const output = place.querySelector(".labkit-live-output");
    const show = () => {
      const at = controls.reduce((sum, control, i) => sum * found.controls[i].positions.length + control.position(), 0);
      output.innerHTML = found.shown[found.which[at]];
    };
    const controls = found.controls.map((control, i) => draw(control, `labkit-live-${number}-${i}`, show));
    const box = element("div", { className: "labkit-live-controls" });
    box.append(...controls.map((control) => control.row));
    place.prepend(box);
    // A reloaded page may remember other positions than the ones it was made with.
    show();
  });
})();
