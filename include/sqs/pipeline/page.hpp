// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// A page for people: one HTML file of headings, text, tables, rows of pictures and curves, in one style for all
/// programs.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

namespace sqs::pipeline {

namespace detail {

inline std::string number(double v, const char* format = "%.6g") {
  if (!std::isfinite(v)) { return "null"; }
  char text[64];
  std::snprintf(text, sizeof text, format, v);
  return text;
}
inline std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
    case '&':
      out += "&amp;";
      break;
    case '<':
      out += "&lt;";
      break;
    case '>':
      out += "&gt;";
      break;
    case '"':
      out += "&quot;";
      break;
    default:
      out += c;
    }
  }
  return out;
}

} // namespace detail

/// What a picture is called on the page, and its file relative to the page.
using figure = std::pair<std::string, std::string>;

/// Grows from top to bottom; all text is escaped. `write_file_atomic(folder / "index.html", bytes_of(p.html()))`.
class page {
public:
  explicit page(const std::string& title)
      : body_("<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>" + detail::escaped(title) +
              "</title><style>body{font:15px/1.5 sans-serif;max-width:1400px;margin:2em auto;padding:0 1em;color:#222}"
              "table{border-collapse:collapse;margin:1em 0}td,th{padding:.25em .8em;border-bottom:1px solid #ddd;"
              "text-align:right}th:first-child{text-align:left;font-weight:600}figure{display:inline-block;margin:.3em}"
              "figcaption{font-size:12px;color:#555}img{max-width:100%;image-rendering:auto;border-radius:3px}"
              ".row img{width:320px}h3{margin:.8em 0 .1em}</style><h1>" +
              detail::escaped(title) + "</h1>") {}

  page& heading(const std::string& text) { return element("h2", text); }
  page& subheading(const std::string& text) { return element("h3", text); }
  page& text(const std::string& text) { return element("p", text); }
  /// Pictures side by side, each 320 pixels wide, or as wide as they are.
  page& figures(const std::vector<figure>& pictures, bool small = true) {
    body_ += small ? "<div class=\"row\">" : "<div>";
    for (const auto& [caption, file] : pictures) {
      body_ += "<figure><img src=\"" + detail::escaped(file) + "\" alt=\"" + detail::escaped(caption) +
               "\"><figcaption>" + detail::escaped(caption) + "</figcaption></figure>";
    }
    body_ += "</div>";
    return *this;
  }
  /// What colours stand for: a patch of each, red, green, blue, and its name.
  page& legend(const std::vector<std::pair<std::string, std::array<std::uint8_t, 3>>>& colours) {
    body_ += "<p>";
    for (const auto& [name, c] : colours) {
      char rgb[8];
      std::snprintf(rgb, sizeof rgb, "#%02x%02x%02x", c[0], c[1], c[2]);
      body_ += std::string("<span style=\"white-space:nowrap\"><span style=\"color:") + rgb + "\">&#9632;</span> " +
               detail::escaped(name) + "</span> &nbsp; ";
    }
    body_ += "</p>";
    return *this;
  }
  /// Rows of cells; the first cell of a row names it. `header` may be empty.
  page& table(const std::vector<std::string>& header, const std::vector<std::vector<std::string>>& rows) {
    body_ += "<table>";
    if (!header.empty()) { row(header, "th"); }
    for (const auto& cells : rows) { row(cells, "td"); }
    body_ += "</table>";
    return *this;
  }
  /// Values over steps as a line, with a logarithmic axis.
  page& curve(const std::string& title, const std::vector<std::pair<double, double>>& points) {
    double low = 1e300, high = -1e300;
    const auto height = [](double v) { return std::log10(std::max(1e-9, v)); };
    for (const auto& [step, v] : points) { low = std::min(low, height(v)), high = std::max(high, height(v)); }
    if (points.size() < 2 || !(high > low)) { return text(title + ": too few points for a curve"); }
    const double first = points.front().first, last = points.back().first;
    std::string line;
    for (const auto& [step, v] : points) {
      line += detail::number(40 + 330 * (step - first) / std::max(1.0, last - first), "%.1f") + "," +
              detail::number(150 - 130 * (height(v) - low) / (high - low), "%.1f") + " ";
    }
    const auto label = [](const char* x, const char* y, const std::string& words) {
      return std::string("<text x=\"") + x + "\" y=\"" + y + "\" font-size=\"10\">" + words + "</text>";
    };
    body_ += "<figure><svg viewBox=\"0 0 380 175\" width=\"380\"><polyline fill=\"none\" stroke=\"#2a6fb0\" "
             "stroke-width=\"1.5\" points=\"" +
             line + "\"/>" + label("2", "24", detail::number(std::pow(10, high), "%.3g")) +
             label("2", "152", detail::number(std::pow(10, low), "%.3g")) +
             label("40", "168", "step " + detail::number(first, "%.0f")) +
             label("320", "168", detail::number(last, "%.0f")) + "</svg><figcaption>" + detail::escaped(title) +
             " (logarithmic)</figcaption></figure>";
    return *this;
  }
  std::string html() const { return body_ + "</html>\n"; }

private:
  page& element(const char* name, const std::string& words) {
    body_ += std::string("<") + name + ">" + detail::escaped(words) + "</" + name + ">";
    return *this;
  }
  void row(const std::vector<std::string>& cells, const char* kind) {
    body_ += "<tr>";
    for (std::size_t i = 0; i < cells.size(); ++i) {
      const std::string name = i == 0 ? "th" : kind;
      body_ += "<" + name + ">" + detail::escaped(cells[i]) + "</" + name + ">";
    }
    body_ += "</tr>";
  }
  std::string body_;
};

} // namespace sqs::pipeline
