//! What compiling costs grows as the plan does, whatever shape the plan has, and its depth costs no stack.
//!
//! Does not know how fast the compiler is: `tests/bench` measures that. Here the processor time of a plan is held against
//! that of one four times as large. Growth with the square would make it sixteen times as much; eleven is what is
//! let pass, and a busy machine gets three tries.

use std::fmt::Write as _;
use std::time::Duration;

use camino::Utf8Path;
use loop_compiler::compile::{Compilation, compile};
use loop_compiler::diagnostic::render::{Format, Look, Report, Style, render};
use loop_compiler::graph;
use loop_compiler::source::memory::MemorySources;
use rustix::time::{ClockId, clock_gettime};

const PROJECT: &str = "project p {\n    agent w via=command { run \"./a.sh\"; }\n    defaults agent=w { verify test; }\n    \
                       verifier test { run make; }\n}\n";

/// Enough for any plan; what recurses on its input needs more.
const STACK: usize = 512 << 10;

/// Compiles a plan, builds its graph if it is sound, and writes the findings in every format.
fn work(plan: &str) -> Compilation {
    let sources = MemorySources::new([("loop.kdl", PROJECT), ("a.loop.kdl", plan)]);
    let compiled = compile(Some(Utf8Path::new("loop.kdl")), &["a.loop.kdl".into()], &sources);
    if let Some((_, Some(checked))) = compiled.plans.first() {
        graph::encode(&graph::build(checked));
    }
    // Each finding shows the whole of its line: a thousand of them on one long line are told by their number.
    let lines = compiled.map.files().map(|(_, file)| file.line_count()).sum::<usize>();
    let limit = (compiled.diagnostics.len() > 100 * lines).then_some(20);
    let report = Report::new(&compiled.diagnostics, &compiled.map);
    for (format, _, _) in Format::ALL {
        let text = render(&report, &Look { format: *format, style: Style::PLAIN, limit });
        assert!(!compiled.has_errors() || !text.is_empty(), "{format:?}");
    }
    compiled
}

fn processor_time() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

fn time_of(plan: &str) -> Duration {
    let start = processor_time();
    work(plan);
    processor_time() - start
}

/// Holds the plan of `units` against the one of four times as many.
fn grows_like_its_text(units: usize, plan: impl Fn(usize) -> String + Send + 'static) {
    let test = move || {
        let (small, large) = (plan(units), plan(4 * units));
        let mut seen = Vec::new();
        for _ in 0..3 {
            let (less, more) = (time_of(&small), time_of(&large));
            if more < less * 11 + Duration::from_millis(30) {
                return;
            }
            seen.push((less, more));
        }
        panic!("{units} and {} things take {seen:?}", 4 * units);
    };
    let thread = std::thread::Builder::new().stack_size(STACK).spawn(test).expect("a thread starts");
    thread.join().expect("no more time, and no more stack, than the plan is long");
}

fn feature(inner: &str) -> String {
    format!("feature F {{\n{inner}}}\n")
}

fn units(count: usize, body: impl Fn(usize, &mut String)) -> String {
    let mut text = String::new();
    for at in 0..count {
        let _ = write!(text, "    unit u{at} {{ goal \"g\"; ");
        body(at, &mut text);
        text.push_str("}\n");
    }
    feature(&text)
}

macro_rules! write_to {
    ($out:expr, $($rest:tt)*) => {{ let _ = write!($out, $($rest)*); }};
}

#[test]
fn a_chain() {
    grows_like_its_text(1000, |count| {
        units(count, |at, out| {
            write_to!(out, "creates \"src/m{at}.rs\"; ");
            if at > 0 {
                write_to!(out, "needs u{}; inputs \"src/m{}.rs\"; ", at - 1, at - 1);
            }
        })
    });
}

#[test]
fn units_without_order_with_ten_patterns_each() {
    grows_like_its_text(250, |count| {
        units(count, |at, out| {
            out.push_str("writes");
            for pattern in ["src/m{}/**", "tests/m{}/*.rs", "docs/m{}.md", "m{}", "a/b{}/c/*", "x/{}.{a,b}"] {
                write_to!(out, " \"{}\"", pattern.replacen("{}", &at.to_string(), 1));
            }
            for pattern in ["Src/M{}.rs", "y/{}?", "z/[ab]/{}", "z/{}/**/*.md"] {
                write_to!(out, " \"{}\"", pattern.replacen("{}", &at.to_string(), 1));
            }
            out.push_str("; ");
        })
    });
}

#[test]
fn patterns_that_begin_with_a_wildcard() {
    grows_like_its_text(250, |count| {
        units(count, |at, out| {
            write_to!(out, "writes \"**/m{at}.rs\" \"**/m{at}_*.rs\" \"src/**/t{at}/*.md\"; ")
        })
    });
}

#[test]
fn one_file_that_all_units_write() {
    grows_like_its_text(500, |count| {
        units(count, |_, out| out.push_str("writes \"Cargo.toml\" \"src/**\"; "))
    });
}

#[test]
fn a_unit_that_needs_all_others() {
    grows_like_its_text(1000, |count| {
        units(count, |at, out| {
            out.push_str("writes; ");
            if at == count - 1 {
                out.push_str("needs");
                (0..at).for_each(|other| write_to!(out, " u{other}"));
                out.push_str("; ");
            }
        })
    });
}

#[test]
fn blocks_in_blocks() {
    grows_like_its_text(2500, |depth| {
        feature(&format!("{}{}\n", "unit u {".repeat(depth), "}".repeat(depth)))
    });
    grows_like_its_text(2500, |depth| "a { b {\n".repeat(depth));
    grows_like_its_text(2500, |depth| "/* (\" ".repeat(depth));
}

#[test]
fn one_long_line() {
    // 64 and 256 kB.
    grows_like_its_text(8000, |words| {
        feature(&format!("unit u {{ goal \"g\"; writes; label{}; }}\n", " word001".repeat(words)))
    });
    grows_like_its_text(8000, |words| {
        feature(&format!("unit u {{ goal \"{}\"; writes; }}\n", "word 01 ".repeat(words)))
    });
    grows_like_its_text(8000, |words| feature(&format!("unit u {{ needs{}; }}\n", " unknown".repeat(words))));
    grows_like_its_text(4000, |words| {
        let mut line = "unit u".to_owned();
        (0..words).for_each(|at| write_to!(line, " property{at}=1"));
        feature(&format!("{line} {{ goal \"g\"; writes; }}\n"))
    });
}

#[test]
fn a_gate_with_many_verifiers() {
    grows_like_its_text(500, |count| {
        let mut text = String::new();
        (0..count).for_each(|at| write_to!(text, "verifier v{at} {{ run make t{at}; }}\n"));
        text.push_str("feature F {\n    gate g {\n        unit u { goal \"g\"; creates a; }\n");
        (0..count).for_each(|at| write_to!(text, "        verify v{at}\n"));
        text + "    }\n}\n"
    });
}

#[test]
fn many_gates_in_a_row() {
    grows_like_its_text(250, |count| {
        let mut text = String::new();
        for at in 0..count {
            write_to!(
                text,
                "    gate g{at} {{ goal \"g\"; unit u{at} {{ goal \"g\"; writes \"src/{at}/**\" \"log.md\"; }}; }}\n"
            );
        }
        feature(&text)
    });
}

#[test]
fn many_requirements() {
    grows_like_its_text(1000, |count| {
        let mut text = String::new();
        (0..count).for_each(|at| write_to!(text, "    requirement R{at} \"the thing {at} is done\"\n"));
        text.push_str("    unit u { goal \"g\"; writes; covers");
        (0..count).for_each(|at| write_to!(text, " R{at}"));
        feature(&(text + "; }\n"))
    });
}

#[test]
fn a_template_used_many_times() {
    grows_like_its_text(250, |count| {
        let mut text =
            "template two {\n    param name\n    unit make { goal \"g\"; creates \"src/${name}.rs\"; }\n    \
                        unit test { goal \"g\"; needs make; creates \"tests/${name}.rs\"; }\n}\n"
                .to_owned();
        let mut uses = String::new();
        (0..count).for_each(|at| write_to!(uses, "    use two as=x{at} name=\"m{at}\"\n"));
        text.push_str(&feature(&uses));
        text
    });
}

#[test]
fn many_mistakes() {
    grows_like_its_text(500, |count| {
        units(count, |at, out| write_to!(out, "neds u{at}; writes \"../x\" \"[\"; needs v{at}; "))
    });
}

#[test]
fn every_unit_twice() {
    grows_like_its_text(500, |count| {
        units(count, |at, out| write_to!(out, "writes; }}\n    unit u{at} {{ writes; "))
    });
}

#[test]
fn a_knot_of_all_units() {
    grows_like_its_text(500, |count| {
        units(count, |at, out| {
            write_to!(out, "writes; needs u{} u{}; ", (at + 1) % count, (at * 7 + 3) % count)
        })
    });
}

/// The shapes at the sizes that a person would never write, through the whole of the program.
#[test]
fn huge_plans_are_sound_to_the_end() {
    let plan = units(100_000, |at, out| {
        out.push_str("writes; ");
        if at > 0 {
            write_to!(out, "needs u{}; ", at - 1);
        }
    });
    let sound = work(&plan);
    assert!(!sound.has_errors());
    let requirements: String =
        (0..10_000).map(|at| format!("    requirement R{at} \"it does {at}\"\n")).collect();
    let covers: String = (0..10_000).map(|at| format!(" R{at}")).collect();
    let traced = feature(&format!("{requirements}    unit u {{ goal \"g\"; writes; covers{covers}; }}\n"));
    assert!(!work(&traced).has_errors());
    let verifiers: String = (0..10_000).map(|at| format!("verifier v{at} {{ run make t{at}; }}\n")).collect();
    let verify: String = (0..10_000).map(|at| format!("        verify v{at}\n")).collect();
    let checked =
        feature(&format!("    gate g {{\n        unit u {{ goal \"g\"; creates a; }}\n{verify}    }}\n"));
    assert!(!work(&(verifiers + &checked)).has_errors());
    let deep = work(&feature(&format!("{}{}\n", "a {".repeat(10_000), "}".repeat(10_000))));
    assert!(deep.has_errors());
    let wide = work(&feature(&format!("unit u {{ goal \"{}\"; writes; }}\n", "a ".repeat(500_000))));
    assert!(!wide.has_errors());
}
