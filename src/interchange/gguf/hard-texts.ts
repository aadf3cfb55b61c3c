/** Texts on which ways of splitting differ: contractions, numbers, marks, scripts, spaces and line breaks in all neighbourhoods. */
export const hardTexts: readonly string[] = [
  "Hello, world! It's I'm we've you'LL SHE'D they'Re don't 'tis",
  "1 12 123 1234 12345678 3.14159 2024-01-31 1e10 ٣٤٥ ½ x2y3",
  " leading  two   three    four     five and a tab\tand\t\ttwo trailing   ",
  "line\nbreaks\n\n\nmany\r\nwindows\r\n\r\n  indented\n\t\tcode\n",
  "def f(x):\n    return x**2 + foo_bar[0] # comment /path/to/file.py\n",
  "camelCase HTTPServer iPhone McDonald's ÉCOLE éÉ ǅ ΑΒγ Straße",
  "Grüße, naïve café, cafe\u0301, \u00c5ngstro\u0308m, Zażółć gęślą jaźń",
  "汉字混排 English,日本語のテキスト、カタカナ。한국어 문장 123개",
  "العربية ١٢٣ עברית हिन्दी भाषा ไทย Кириллица Ђ",
  "👍🏽 👩‍👩‍👧‍👦 🇩🇪 ☃️ ∑∫√ €£¥ “quotes” — dash… «»",
  "!!!???... ((())) [[]] {{}} <a href=\"x\">&amp;</a> $100 50% a@b.c #tag",
  "\u00a0no-break\u2003em\u200bzero\u3000wide \u2028line \ufeffmark",
  "a", " ", "\n", "", "ab cd", " ab", "a  b", "aaaaaaaaaaaaaaaaaaaa", "____----====", "xX 9\n9 \n 9",
];
