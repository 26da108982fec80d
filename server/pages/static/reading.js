"use strict";

// The colours of style.css for ReDoc, which takes them from its theme. The right-hand side is dark in both.
const LIGHT = {
  page: "#fbfcfb", side: "#f2f5f3", line: "#d5ddd9", text: "#1b2420", soft: "#53615b", brand: "#0b6b4a",
  mark: "#a3294b", panel: "#17211d", block: "#0d1411", good: "#17691f", bad: "#b3261e",
};
const DARK = {
  page: "#111714", side: "#18201c", line: "#34413b", text: "#e3eae6", soft: "#a4b2ab", brand: "#5fd0a5",
  mark: "#f2a5ba", panel: "#18201c", block: "#0b100e", good: "#7fd68a", bad: "#ff9c97",
};
const FONT = "system-ui, sans-serif";

function theme(colour) {
  return {
    colors: {
      primary: { main: colour.brand },
      success: { main: colour.good },
      error: { main: colour.bad },
      responses: { success: { tabTextColor: "#7fd68a" }, error: { tabTextColor: "#ff9c97" } },
      text: { primary: colour.text, secondary: colour.soft },
      border: { dark: colour.line, light: colour.line },
      gray: { 50: colour.side, 100: colour.side },
    },
    schema: {
      nestedBackground: colour.side,
      linesColor: colour.line,
      typeNameColor: colour.soft,
      typeTitleColor: colour.soft,
      requireLabelColor: colour.mark,
      arrow: { color: colour.soft },
    },
    typography: {
      fontSize: "15px",
      fontFamily: FONT,
      headings: { fontFamily: FONT, fontWeight: "600" },
      code: { fontFamily: "ui-monospace, monospace", color: colour.mark, backgroundColor: colour.side },
      links: { color: colour.brand, visited: colour.brand, hover: colour.brand },
    },
    sidebar: { backgroundColor: colour.side, textColor: colour.text, activeTextColor: colour.brand },
    rightPanel: {
      backgroundColor: colour.panel,
      textColor: "#e6eeea",
      servers: { overlay: { backgroundColor: colour.page, textColor: colour.text }, url: { backgroundColor: colour.side } },
    },
    codeBlock: { backgroundColor: colour.block },
  };
}

const isDark = matchMedia("(prefers-color-scheme: dark)").matches;
Redoc.init(
  "../openapi.json",
  {
    theme: theme(isDark ? DARK : LIGHT),
    nativeScrollbars: true,
    requiredPropsFirst: true,
    jsonSampleExpandLevel: 3,
    scrollYOffset: ".bar",
  },
  document.getElementById("document"),
);
