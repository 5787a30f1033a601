//! Patterns against examples, and against trying every path of a small world.
//!
//! Does not know how patterns are compiled.

use proptest::prelude::*;

use super::*;

fn pattern(text: &str) -> Pattern {
    Pattern::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn meet(a: &str, b: &str) -> Option<String> {
    let there = overlap(&pattern(a), &pattern(b));
    let back = overlap(&pattern(b), &pattern(a));
    assert_eq!(there.is_some(), back.is_some(), "{a} and {b}: overlap has no direction");
    there
}

#[test]
fn normal_form_drops_what_means_nothing() {
    for (written, normal) in [
        ("./src/a.rs", "src/a.rs"),
        ("src//a.rs", "src/a.rs"),
        ("src/./a.rs/", "src/a.rs"),
        ("src/**/", "src/**"),
        ("cafe\u{301}.md", "caf\u{e9}.md"),
    ] {
        assert_eq!(pattern(written).as_str(), normal);
        assert_eq!(pattern(written), pattern(normal));
    }
    let negated = pattern("!./specs/draft");
    assert!(negated.negated());
    assert_eq!(negated.as_str(), "specs/draft");
    assert_eq!(negated.to_string(), "!specs/draft");
}

#[test]
fn refused_patterns_say_why() {
    for (text, word) in [
        ("", "no path"),
        (".", "no path"),
        ("/etc/passwd", "absolute"),
        ("../x", "`..`"),
        ("a/../b", "`..`"),
        ("{a,../b}", "`..`"),
        ("{/a,b}", "absolute"),
        ("src/**.rs", "whole part"),
        ("a**", "whole part"),
        ("[a", "never closed"),
        ("{a,b", "never closed"),
        ("a}", "closes nothing"),
        ("a]", "closes nothing"),
        ("[]", "no character"),
        ("[z-a]", "backwards"),
        ("src\\main.rs", "separated by `/`"),
        ("a\\", "last"),
        ("{,}", "no path"),
        ("{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}", "256"),
        ("{{{{{{{{{{a}}}}}}}}}}", "deep"),
    ] {
        let error = Pattern::parse(text).expect_err(text);
        assert!(error.contains(word), "{text}: {error}");
    }
}

#[test]
fn a_literal_is_the_path_itself() {
    assert_eq!(pattern("src/a.rs").literal(), Some("src/a.rs"));
    assert_eq!(pattern("{src}/a.rs").literal(), Some("src/a.rs"));
    assert_eq!(pattern(r"app/\[id\].tsx").literal(), Some("app/[id].tsx"));
    assert_eq!(pattern("src/*.rs").literal(), None);
    assert_eq!(pattern("{a,b}").literal(), None);
    for path in ["app/[id].tsx", "a b/c", "!x", "a\\b", "{x}", "**"] {
        let exact = Pattern::of_path(path);
        assert_eq!(exact.literal(), Some(path));
        assert_eq!(pattern(exact.as_str()), exact, "{path} is read back");
    }
}

#[test]
fn matching_covers_what_lies_below() {
    for (text, path, expected) in [
        ("src", "src", true),
        ("src", "src/a/b.rs", true),
        ("src", "srcs", false),
        ("src/*", "src/a/b.rs", true),
        ("src/*", "src", false),
        ("src/**", "src/a/b.rs", true),
        ("src/**", "src", false),
        ("**", "a/b", true),
        ("**/*.rs", "a.rs", true),
        ("**/*.rs", "a/b/c.rs", true),
        ("**/*.rs", "a/b/c.rs/d", true),
        ("a/**/b", "a/b", true),
        ("a/**/b", "a/x/y/b/z", true),
        ("a/**/b", "a/xb", false),
        ("*.rs", "a/b.rs", false),
        ("?.rs", "a.rs", true),
        ("?.rs", "\u{e9}.rs", true),
        ("?.rs", "e\u{301}.rs", true),
        ("?.rs", "ab.rs", false),
        ("[a-c]x", "bx", true),
        ("[!a-c]x", "bx", false),
        ("[^a-c]x", "dx", true),
        ("[!a]", "/", false),
        ("[a\\-c]", "-", true),
        ("[a\\-c]", "b", false),
        ("{src,tests}/**/*.rs", "tests/a/b.rs", true),
        ("{a/b,c}/d", "a/b/d", true),
        ("{*,x}*/d", "q/d", true),
        ("{*,x}*/d", "q/r/d", false),
        ("a/**/**/b", "a/b", true),
        ("Foo", "foo", false),
    ] {
        assert_eq!(pattern(text).matches(path), expected, "{text} and {path}");
    }
}

#[test]
fn the_last_pattern_that_matches_decides() {
    let set = PatternSet::parse(&["specs/**", "!specs/draft/**", "specs/draft/kept.md"]).expect("patterns");
    assert!(set.matches("specs/a.md"));
    assert!(!set.matches("specs/draft/a.md"));
    assert!(set.matches("specs/draft/kept.md"));
    assert!(!set.matches("src/a.rs"));
    assert!(PatternSet::default().is_empty());
}

#[test]
fn overlap_gives_an_example() {
    assert_eq!(meet("src/**", "src/new.rs").as_deref(), Some("src/new.rs"));
    assert_eq!(meet("foo", "foo/x").as_deref(), Some("foo/x"));
    assert_eq!(meet("Foo.rs", "foo.rs").as_deref(), Some("Foo.rs"));
    assert_eq!(meet("caf\u{e9}", "CAFE\u{301}").as_deref(), Some("caf\u{e9}"));
    assert_eq!(meet("src/*.rs", "src/*.toml"), None);
    assert_eq!(meet("a*", "*b").as_deref(), Some("ab"));
    assert_eq!(meet("a?c", "abd"), None);
    assert_eq!(meet("[a-f]x", "[f-z]x").as_deref(), Some("fx"));
    assert_eq!(meet("[a-f]x", "[g-z]x"), None);
    assert_eq!(meet("[!a-z]x", "Qx").as_deref(), Some("Qx"));
    assert_eq!(meet("**/a", "b/**/c").as_deref(), Some("b/c/a"));
    assert_eq!(meet("{src,tests}/a", "tests/{b,a}").as_deref(), Some("tests/a"));
    assert!(meet("src/a*", "src/a*b*").is_some());
    assert_eq!(meet("src/a", "src/ab"), None);
    assert!(meet("\u{df}", "\u{1e9e}").is_some(), "one sharp s, upper and lower case");
}

#[test]
fn below_a_file_there_is_nothing() {
    assert_eq!(meet("Cargo.toml", "**/*.rs"), None);
    assert_eq!(meet("src/*.rs", "src/*/mod.rs"), None);
    assert_eq!(meet("src/a.rs", "src/**/tests/*"), None);
    assert_eq!(meet("conf.d", "conf.d/x").as_deref(), Some("conf.d/x"), "both say that it is a directory");
    assert!(meet("src", "**/*.rs").is_some());
    assert!(meet("docs/v1.2", "docs/**/*.md").is_some());
    assert!(meet(".github", "**/*.yml").is_some());
    assert_eq!(meet("src/*", "src/a/b.rs").as_deref(), Some("src/a/b.rs"));
}

#[test]
fn what_is_excluded_does_not_count() {
    let outside = |a, b, excluded: &[&str]| {
        let excluded: Vec<Pattern> = excluded.iter().map(|text| pattern(text)).collect();
        overlap_outside(&pattern(a), &pattern(b), &excluded.iter().collect::<Vec<_>>())
    };
    assert_eq!(outside("specs/**", "specs/draft/x", &["specs/draft/**"]), None);
    assert!(outside("specs/**", "specs/*.md", &["specs/a.md"]).is_some());
    assert_eq!(outside("src/**", "src/x", &["src/x"]), None);
    assert_eq!(outside("src/**", "src/*", &["src/[a-m]*", "src/[!a-m]*"]), None);
    assert_eq!(outside("src/**", "src/?", &["src/[a-m]*", "src/[!a-n]*"]).as_deref(), Some("src/n"));
    let case = outside("specs/**", "specs/Draft/x", &["specs/draft/**"]);
    assert_eq!(
        case.as_deref(),
        Some("specs/Draft/x"),
        "another case is another directory, where case counts"
    );
}

#[test]
fn a_part_is_spelt_or_not() {
    assert!(pattern(".git/config").spells_part(".git"));
    assert!(pattern("sub/.GIT").spells_part(".git"));
    assert!(pattern("{a,**/.git}/x").spells_part(".git"));
    assert!(!pattern(".gitignore").spells_part(".git"));
    assert!(!pattern("**/*").spells_part(".git"));
}

/// Patterns as a person would check them by hand: part by part, with recursion, over text.
mod naive {
    pub(super) fn covers(pattern: &str, path: &str) -> bool {
        let pattern: Vec<&str> = pattern.split('/').collect();
        let path: Vec<&str> = path.split('/').collect();
        (1..=path.len()).any(|count| parts(&pattern, &path[..count]))
    }

    fn parts(pattern: &[&str], path: &[&str]) -> bool {
        match (pattern, path) {
            ([], []) => true,
            (["**"], _) => !path.is_empty(),
            (["**", rest @ ..], _) => parts(rest, path) || (!path.is_empty() && parts(pattern, &path[1..])),
            ([first, rest @ ..], [own, others @ ..]) => {
                let (first, own): (Vec<char>, Vec<char>) = (first.chars().collect(), own.chars().collect());
                part(&first, &own) && parts(rest, others)
            }
            _ => false,
        }
    }

    fn part(pattern: &[char], text: &[char]) -> bool {
        match (pattern, text) {
            ([], []) => true,
            (['*', rest @ ..], _) => part(rest, text) || (!text.is_empty() && part(pattern, &text[1..])),
            (['?', rest @ ..], [_, others @ ..]) => part(rest, others),
            (['[', '!', c, ']', rest @ ..], [own, others @ ..]) => c != own && part(rest, others),
            (['[', c, '-', d, ']', rest @ ..], [own, others @ ..]) => {
                c <= own && own <= d && part(rest, others)
            }
            ([c, rest @ ..], [own, others @ ..]) => c == own && part(rest, others),
            _ => false,
        }
    }
}

/// Every path of up to three parts of up to two characters out of a small alphabet. Digits, because overlap does
/// not tell upper from lower case: `[!a]` and `a` meet at `A`.
fn small_paths() -> Vec<String> {
    let letters = ["1", "2", "3"];
    let mut parts: Vec<String> = letters.iter().map(|letter| (*letter).to_owned()).collect();
    parts.extend(letters.iter().flat_map(|a| letters.iter().map(move |b| format!("{a}{b}"))));
    let mut paths = parts.clone();
    let mut last = parts.clone();
    for _ in 1..3 {
        last = last.iter().flat_map(|top| parts.iter().map(move |part| format!("{top}/{part}"))).collect();
        paths.extend(last.iter().cloned());
    }
    paths
}

fn small_pattern() -> impl Strategy<Value = String> {
    let unit = prop_oneof![4 => "[12]", 1 => Just("*".to_owned()), 1 => Just("?".to_owned()),
        1 => Just("[!1]".to_owned()), 1 => Just("[1-2]".to_owned())];
    let part = prop_oneof![
        5 => prop::collection::vec(unit, 1..3).prop_map(|units| units.concat().replace("**", "*")),
        1 => Just("**".to_owned()),
    ];
    prop::collection::vec(part, 1..4).prop_map(|parts| parts.join("/"))
}

/// Some of its parts have an extension.
fn named_pattern() -> impl Strategy<Value = String> {
    let extension = prop::sample::select(vec!["", "", ".a", ".b", ".ab", ".[a-b]", ".*"]);
    (small_pattern(), prop::collection::vec(extension, 3)).prop_map(|(text, extensions)| {
        let parts = text.split('/').zip(extensions);
        let named =
            parts.map(|(part, extension)| format!("{part}{}", if part == "**" { "" } else { extension }));
        named.collect::<Vec<_>>().join("/")
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn matching_agrees_with_the_naive_way(text in small_pattern()) {
        let compiled = pattern(&text);
        for path in small_paths() {
            prop_assert_eq!(compiled.matches(&path), naive::covers(&text, &path), "{} and {}", text, path);
        }
    }

    /// Patterns of up to three parts of up to two units meet, if they do, at a path of the small kind.
    #[test]
    fn overlap_agrees_with_trying_every_path(a in small_pattern(), b in small_pattern()) {
        let common = small_paths().into_iter().find(|path| naive::covers(&a, path) && naive::covers(&b, path));
        match overlap(&pattern(&a), &pattern(&b)) {
            Some(path) => {
                prop_assert!(pattern(&a).matches(&path) && pattern(&b).matches(&path), "{} {} {}", a, b, path);
            }
            None => prop_assert_eq!(common, None, "{} and {}", a, b),
        }
    }

    #[test]
    fn exclusion_agrees_with_trying_every_path(a in small_pattern(), b in small_pattern(), c in small_pattern()) {
        let [a, b, c] = [pattern(&a), pattern(&b), pattern(&c)];
        let common = small_paths().into_iter().find(|path| a.matches(path) && b.matches(path) && !c.matches(path));
        match overlap_outside(&a, &b, &[&c]) {
            Some(path) => prop_assert!(a.matches(&path) && b.matches(&path) && !c.matches(&path), "{}", path),
            None => prop_assert_eq!(common, None),
        }
    }

    #[test]
    fn the_search_over_many_finds_every_pair(texts in prop::collection::vec(named_pattern(), 0..12)) {
        let patterns: Vec<Pattern> = texts.iter().map(|text| pattern(text)).collect();
        let patterns: Vec<&Pattern> = patterns.iter().collect();
        let mut each = Vec::new();
        for first in 0..patterns.len() {
            for second in first + 1..patterns.len() {
                if overlap(patterns[first], patterns[second]).is_some() {
                    each.push((first, second));
                }
            }
        }
        let found: Vec<(usize, usize)> =
            overlapping_pairs(&patterns).iter().map(|overlap| (overlap.first, overlap.second)).collect();
        prop_assert_eq!(&found, &each);
        let (left, right) = patterns.split_at(patterns.len() / 2);
        let across = overlapping_between(left, right).len();
        let expected = each.iter().filter(|(a, b)| *a < left.len() && *b >= left.len()).count();
        prop_assert_eq!(across, expected);
    }

    /// Whatever the text, the answer is a pattern or words, and a pattern overlaps itself.
    #[test]
    fn any_text_is_answered(text in "\\PC{0,12}") {
        if let Ok(pattern) = Pattern::parse(&text) {
            prop_assert!(overlap(&pattern, &pattern).is_some());
            prop_assert_eq!(Pattern::parse(&pattern.to_string()), Ok(pattern));
        }
    }

    #[test]
    fn any_punctuation_is_answered(text in "[ab/*?{},!\\\\\\[\\]-]{0,12}") {
        if let Ok(pattern) = Pattern::parse(&text) {
            prop_assert!(overlap(&pattern, &pattern).is_some());
            prop_assert_eq!(Pattern::parse(&pattern.to_string()), Ok(pattern));
        }
    }
}

#[test]
fn many_paths_are_searched_in_about_linear_time() {
    let texts: Vec<String> = (0..20_000).map(|at| format!("src/m{at}/file.rs")).collect();
    let patterns: Vec<Pattern> = texts.iter().map(|text| pattern(text)).collect();
    let mut all: Vec<&Pattern> = patterns.iter().collect();
    let wide = pattern("src/m77/**");
    all.push(&wide);
    let found = overlapping_pairs(&all);
    assert_eq!(found, [Overlap { first: 77, second: 20_000, path: "src/m77/file.rs".to_owned() }]);
}
