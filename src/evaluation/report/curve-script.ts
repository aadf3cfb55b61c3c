/**
 * Draws the losses with uPlot, in the browser: from the JSON in #curve-data into #curve-chart. Colours are read from the page's
 * variables at every drawing, so that a change of theme, or paper, needs only another drawing.
 */
export const CURVE_SCRIPT = `
(function () {
  "use strict";
  var source = document.getElementById("curve-data");
  var box = document.getElementById("curve-chart");
  var readout = document.getElementById("curve-readout");
  if (!source || !box || !readout) return;
  var columns = JSON.parse(source.textContent);
  var best = columns.best;
  var smooth = columns.smoothed.some(function (value) { return value !== null; });
  var names = ["step", "training", "smoothed", "validation"];
  var PRINT_WIDTH = 640;

  function colour(name) {
    var variable = name === "training" ? "--accent" : name === "validation" ? "--second" : "--" + name;
    return getComputedStyle(document.documentElement).getPropertyValue(variable).trim();
  }
  function width() { return Math.max(240, Math.floor(box.clientWidth)); }
  function height() { return width() < 480 ? 240 : 320; }
  function count(values) { return values.filter(function (value) { return value !== null; }).length; }
  function decimals(step) { return step >= 1 ? 0 : Math.min(6, Math.ceil(-Math.log10(step) - 1e-9)); }

  function steps(chart, low, high) {
    return low === high ? [low - 1, high + 1] : [low, high];
  }
  // Starts at zero unless that would flatten the curve.
  function losses(chart, low, high) {
    if (low === null || high === null) return [0, 1];
    var room = 0.08 * (high - low || Math.abs(high) || 1);
    return [low < 0.4 * high || low - room < 0 ? 0 : low - room, high + room];
  }
  function axis(label, extra) {
    return Object.assign({
      label: label,
      labelSize: 22,
      labelGap: 2,
      labelFont: "13px system-ui, sans-serif",
      font: "12px system-ui, sans-serif",
      stroke: function () { return colour("muted"); },
      grid: { stroke: function () { return colour("rule"); }, width: 1 },
      ticks: { show: false },
      values: function (chart, splits, index, space, step) {
        return splits.map(function (value) { return value.toFixed(decimals(step)); });
      }
    }, extra);
  }
  function line(name, extra) {
    return Object.assign({
      label: name,
      spanGaps: true,
      stroke: function () { return colour(name); },
      width: 2,
      points: { show: false }
    }, extra);
  }
  function dots(name, show, size) {
    return { show: show, size: size, fill: function () { return colour(name); }, stroke: function () { return colour(name); } };
  }

  function markBest(chart) {
    if (!best) return;
    var context = chart.ctx, scale = uPlot.pxRatio, area = chart.bbox;
    var x = chart.valToPos(best.step, "x", true), y = chart.valToPos(best.loss, "y", true);
    context.save();
    context.beginPath();
    context.arc(x, y, 7 * scale, 0, 2 * Math.PI);
    context.lineWidth = 2 * scale;
    context.strokeStyle = colour("validation");
    context.stroke();
    var above = y - 60 * scale > area.top, side = above ? -1 : 1;
    context.beginPath();
    context.moveTo(x, y + side * 7 * scale);
    context.lineTo(x, y + side * 38 * scale);
    context.lineWidth = scale;
    context.stroke();
    var words = "lowest" + (width() < 480 ? " " : " validation loss ") + best.loss.toFixed(3) + ", step " + best.step;
    context.font = "600 " + 12.5 * scale + "px system-ui, sans-serif";
    var half = context.measureText(words).width / 2 + 4 * scale;
    var middle = Math.min(Math.max(x, area.left + half), area.left + area.width - half);
    var baseline = above ? y - 43 * scale : y + 52 * scale;
    context.textAlign = "center";
    context.lineJoin = "round";
    context.lineWidth = 5 * scale;
    context.strokeStyle = colour("paper");
    context.strokeText(words, middle, baseline);
    context.fillStyle = colour("ink");
    context.fillText(words, middle, baseline);
    context.restore();
  }

  function read(chart) {
    var index = chart.cursor.idx;
    var parts = index === null || index === undefined ? [] : chart.data.map(function (column, series) {
      var value = column[index];
      return value === null ? "" : names[series] + " " + (series === 0 ? value : value.toFixed(3));
    });
    readout.textContent = parts.filter(Boolean).join(" · ");
  }

  var chart = new uPlot({
    width: width(),
    height: height(),
    legend: { show: false },
    cursor: { drag: { x: false, y: false }, y: false, points: { show: false } },
    scales: { x: { time: false, range: steps }, y: { range: losses } },
    axes: [
      axis("step", { size: 30, space: 60, incrs: [1, 2, 5, 10, 20, 25, 50, 100, 200, 250, 500, 1e3, 2e3, 2500, 5e3, 1e4, 2e4, 25e3, 5e4, 1e5, 2e5, 25e4, 5e5, 1e6, 1e7, 1e8] }),
      axis("loss (nats per token)", { size: 46 })
    ],
    series: [
      {},
      line("training", { width: smooth ? 1 : 2, alpha: smooth ? 0.4 : 1, points: dots("training", count(columns.training) < 3, 6) }),
      line("training", { width: 2.5 }),
      line("validation", { dash: [7, 4], points: dots("validation", count(columns.validation) <= 60, 7) })
    ],
    hooks: { draw: [markBest], setCursor: [read] }
  }, [columns.steps, columns.training, columns.smoothed, columns.validation], box);

  function fit() {
    if (width() !== chart.width) chart.setSize({ width: width(), height: height() });
  }
  new ResizeObserver(fit).observe(box);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", function () { chart.redraw(false); });
  window.addEventListener("beforeprint", function () {
    chart.setSize({ width: Math.min(PRINT_WIDTH, width()), height: height() });
    chart.redraw(false);
  });
  window.addEventListener("afterprint", function () { fit(); chart.redraw(false); });
})();
`;
