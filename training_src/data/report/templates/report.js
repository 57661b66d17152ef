// SPDX-License-Identifier: Apache-2.0
// Filters the samples by class, split and whether anchors reach them; without it all are shown.
(function () {
  "use strict";
  var gallery = document.getElementById("samples");
  if (!gallery) return;
  var controls = document.getElementById("filters");
  var shown = document.getElementById("shown");
  var figures = Array.prototype.slice.call(gallery.querySelectorAll("figure"));

  function chosen(kind) {
    return Array.prototype.map.call(
      controls.querySelectorAll("input[data-kind='" + kind + "']:checked"), function (input) { return input.value; });
  }

  function apply() {
    var labels = chosen("label"), splits = chosen("split"), missed = chosen("missed").length > 0;
    var visible = 0;
    figures.forEach(function (figure) {
      var own = figure.getAttribute("data-labels").split(" ").filter(Boolean);
      var fits = (!splits.length || splits.indexOf(figure.getAttribute("data-split")) >= 0) &&
        (!labels.length || own.some(function (label) { return labels.indexOf(label) >= 0; })) &&
        (!missed || figure.getAttribute("data-missed") === "yes");
      figure.hidden = !fits;
      visible += fits ? 1 : 0;
      Array.prototype.forEach.call(figure.querySelectorAll("g.box"), function (box) {
        var dimmed = labels.length > 0 && labels.indexOf(box.getAttribute("data-label")) < 0;
        box.classList.toggle("dimmed", dimmed);
      });
    });
    shown.textContent = visible + " of " + figures.length + " shown";
  }

  controls.hidden = false;
  controls.addEventListener("change", apply);
  controls.addEventListener("reset", function () { window.setTimeout(apply, 0); });
  document.getElementById("names").addEventListener("change", function (event) {
    gallery.classList.toggle("named", event.target.checked);
  });
  apply();
})();
