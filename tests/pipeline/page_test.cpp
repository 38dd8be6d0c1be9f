// SPDX-License-Identifier: Apache-2.0
// The page: what is put in comes out, escaped, in order.
#include <sqs/pipeline/report.hpp>

#include <gmock/gmock.h>

namespace page_test {

using namespace sqs::pipeline;
using testing::HasSubstr;
using testing::Not;

TEST(page, text_of_others_stays_text) {
  page p("a < b & \"c\"");
  p.heading("<script>").text("1 > 0").subheading("x&y").figures({{"\"quoted\"", "a\".png"}});
  const std::string html = p.html();
  EXPECT_THAT(html, HasSubstr("<h1>a &lt; b &amp; &quot;c&quot;</h1>"));
  EXPECT_THAT(html, HasSubstr("<h2>&lt;script&gt;</h2><p>1 &gt; 0</p><h3>x&amp;y</h3>"));
  EXPECT_THAT(html, HasSubstr("<img src=\"a&quot;.png\" alt=\"&quot;quoted&quot;\">"));
  EXPECT_THAT(html, Not(HasSubstr("<script>")));
}

TEST(page, tables_name_their_rows) {
  page p("t");
  p.table({"", "IoU"}, {{"car", "12.5"}, {"bus", "3"}});
  EXPECT_THAT(p.html(), HasSubstr("<table><tr><th></th><th>IoU</th></tr><tr><th>car</th><td>12.5</td></tr>"
                                  "<tr><th>bus</th><td>3</td></tr></table>"));
}

TEST(page, a_legend_has_a_patch_of_each_colour) {
  page p("t");
  p.legend({{"car & co", {0, 160, 255}}, {"free", {7, 8, 9}}});
  EXPECT_THAT(p.html(), HasSubstr("<span style=\"color:#00a0ff\">&#9632;</span> car &amp; co</span>"));
  EXPECT_THAT(p.html(), HasSubstr("#070809"));
}

TEST(page, curves_run_from_corner_to_corner) {
  page p("t");
  p.curve("loss", {{0, 100}, {5, 10}, {10, 1}});
  EXPECT_THAT(p.html(), HasSubstr("points=\"40.0,20.0 205.0,85.0 370.0,150.0 \""));
  page one("t");
  EXPECT_THAT(one.curve("loss", {{0, 1}}).html(), HasSubstr("loss: too few points for a curve"));
}

TEST(page, a_run_shows_its_parts) {
  run_report r;
  r.title = "run", r.has_eval = true, r.bird_eye = "above.png";
  r.curve = {{0, 2, 1, 1}, {10, 1, 0.5, 0.5}};
  r.rows = {{"CAM_FRONT", {{"rendered", "front.png"}}}};
  r.settings = {{"rate", "2e-4"}};
  const std::string html = report_html(r);
  for (const char* part : {"<h2>Scores</h2>", "not trained on", "<h3>CAM_FRONT</h3>", "front.png", "L1 depth, metres",
                           "above.png", "Time and memory per stage", "<th>rate</th><td>2e-4</td>"}) {
    EXPECT_THAT(html, HasSubstr(part));
  }
  EXPECT_THAT(html, Not(HasSubstr("control: not trained on")));
}

} // namespace page_test
