// SPDX-License-Identifier: Apache-2.0
#include <sqs/tensor/json.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace json_test {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

void rejects(const std::string& text, const std::string& why) {
  EXPECT_THAT([&] { sqs::parse_json(text, "t.json"); }, ThrowsMessage<sqs::file_error>(HasSubstr(why)))
      << text.substr(0, 40);
}

TEST(json, values_keep_their_kind_and_order) {
  const auto v =
      sqs::parse_json(R"({"z":null,"a":[true,-7,2.5,"x\u00e9\ud83d\ude00"],"m":{"k":9223372036854775807}})", "t");
  EXPECT_TRUE(v.find("z")->is_null());
  const auto& a = *v.find("a")->as<sqs::json_value::array>();
  EXPECT_EQ(*a[0].as<bool>(), true);
  EXPECT_EQ(*a[1].as<std::int64_t>(), -7);
  EXPECT_EQ(*a[2].as<double>(), 2.5);
  EXPECT_EQ(*a[3].as<std::string>(), "x\xc3\xa9\xf0\x9f\x98\x80");
  EXPECT_EQ(*v.find("m")->find("k")->as<std::int64_t>(), INT64_MAX);
  EXPECT_EQ(v.find("none"), nullptr);
  EXPECT_EQ(a[0].find("x"), nullptr);
  EXPECT_EQ((*v.as<sqs::json_value::object>())[0].name, "z");
}

TEST(json, records_are_handed_out_one_by_one) {
  std::vector<std::int64_t> seen;
  sqs::for_each_record(R"([{"a":1},{"a":2,"b":[{}]},3])", "t", {}, [&](sqs::json_value&& v) {
    const auto* n = v.find("a");
    seen.push_back(n == nullptr ? *v.as<std::int64_t>() : *n->as<std::int64_t>());
  });
  EXPECT_EQ(seen, (std::vector<std::int64_t>{1, 2, 3}));
  sqs::for_each_record("[]", "t", {}, [&](sqs::json_value&&) { FAIL(); });
  for (const std::string text : {"{}", "3", "null"}) {
    EXPECT_THAT([&] { sqs::for_each_record(text, "t.json", {}, [](sqs::json_value&&) {}); },
                ThrowsMessage<sqs::file_error>(HasSubstr("t.json does not hold a list of records")))
        << text;
  }
}

TEST(json, malformed_text_names_file_and_byte) {
  rejects("", "sqs::parse_json: t.json at byte 1: parse error");
  rejects("[1,", "at byte 4: parse error");
  rejects("[NaN]", "invalid literal");
  rejects("[1e999]", "number overflow");
  rejects("[18446744073709551615]", "the integer 18446744073709551615 is beyond 2^63 - 1");
  rejects("[\"\xff\"]", "ill-formed UTF-8");
  rejects("{\"a\":1,\"b\":{\"a\":1,\"a\":2}}", "the key 'a' occurs twice in one object");
  rejects("[] []", "expected end of input");
  rejects(std::string(1'000'000, '['), "t.json nests deeper than 32 levels; raise limits::json_depth");
  const std::string deep = std::string(32, '[') + std::string(32, ']');
  EXPECT_NO_THROW(sqs::parse_json(deep, "t"));
}

TEST(json, fields_name_record_field_and_what_was_found) {
  const auto v = sqs::parse_json(R"({"s":"x","n":1,"d":1.5,"b":true,"l":[1,2.5],"z":null})", "t");
  const sqs::json_fields f(v, "t.json, record 7");
  EXPECT_EQ(f.text("s"), "x");
  EXPECT_EQ(f.integer("n"), 1);
  EXPECT_TRUE(f.flag("b"));
  EXPECT_EQ(f.numbers<2>("l")[1], 2.5);
  EXPECT_THAT([&] { f.text("q"); },
              ThrowsMessage<sqs::file_error>("sqs::json: t.json, record 7: field 'q' is missing; correct the file"));
  EXPECT_THAT([&] { f.integer("d"); },
              ThrowsMessage<sqs::file_error>(HasSubstr("field 'd' is a number instead of an integer")));
  EXPECT_THAT([&] { f.flag("z"); },
              ThrowsMessage<sqs::file_error>(HasSubstr("field 'z' is null instead of true or false")));
  EXPECT_THAT([&] { f.numbers<3>("l"); },
              ThrowsMessage<sqs::file_error>(HasSubstr("field 'l' is not a list of 3 numbers")));
}

TEST(json, quoting_survives_a_round_trip) {
  std::string s;
  for (int c = 0; c < 128; ++c) { s += static_cast<char>(c); }
  s += "\xc3\xa9";
  EXPECT_EQ(*sqs::parse_json(sqs::json_quoted(s), "t").as<std::string>(), s);
}

} // namespace json_test
