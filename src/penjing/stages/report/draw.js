"use strict";
// Draws the charts of the page. Expressions are interpreted, since the page's policy lets no text become code.
for (const figure of document.querySelectorAll("figure[data-chart]")) {
  const spec = JSON.parse(document.getElementById(figure.dataset.chart).textContent);
  const place = figure.querySelector(".chart");
  const options = { mode: "vega-lite", renderer: "svg", actions: false, ast: true, defaultStyle: false, tooltip: { disableDefaultStyle: true } };
  vegaEmbed(place, spec, options).catch((error) => {
    place.textContent = "This chart could not be drawn (" + error.message + "); its figures stand in the tables.";
  });
}
