//! Tests of templates: what an expansion means, and what is said about it.

use camino::Utf8Path;

use crate::compile::{Compilation, compile};
use crate::diagnostic::render::{Style, human, short};
use crate::plan::Unit;
use crate::source::memory::MemorySources;

const PROJECT: &str = "project shop base=main {
    agent script via=command { run \"./agent.sh\"; }
    defaults agent=script { verify test; }
    verifier test { param filter type=text default=\"\"; run cargo test \"${filter}\"; }
}
";

fn compiled(files: &[(&str, &str)]) -> Compilation {
    let mut sources = MemorySources::new([("loop.kdl", PROJECT)]);
    for at in 0..5 {
        sources.insert(format!("specs/word{at}.md"), "It is so.\n");
    }
    for (path, text) in files {
        sources.insert(*path, *text);
    }
    compile(Some(Utf8Path::new("loop.kdl")), &["p.loop.kdl".into()], &sources)
}

/// The findings, a line each, of a plan alone.
fn told(plan: &str) -> String {
    let compiled = compiled(&[("p.loop.kdl", plan)]);
    short(&compiled.diagnostics, &compiled.map).replace("p.loop.kdl:", "")
}

fn good(plan: &str) -> crate::check::CheckedPlan {
    let mut compiled = compiled(&[("p.loop.kdl", plan)]);
    let shown = human(&compiled.diagnostics, &compiled.map, Style::PLAIN);
    compiled.plans.pop().and_then(|(_, plan)| plan).unwrap_or_else(|| panic!("{shown}"))
}

fn unit<'p>(plan: &'p crate::check::CheckedPlan, id: &str) -> &'p Unit {
    plan.units.iter().find(|unit| unit.id.value == id).unwrap_or_else(|| panic!("no unit {id}"))
}

fn ids(plan: &crate::check::CheckedPlan) -> Vec<&str> {
    plan.units.iter().map(|unit| unit.id.value.as_str()).collect()
}

fn names(
    plan: &crate::check::CheckedPlan,
    list: &[crate::source::Spanned<crate::plan::UnitIx>],
) -> Vec<String> {
    list.iter().map(|unit| plan.units[unit.value.0 as usize].id.value.clone()).collect()
}

#[test]
fn a_use_makes_the_templates_units_where_it_stands() {
    let plan = good(
        r#"template endpoint {
    param path type=glob
    param route type=text default="/healthz"
    param after type=list
    unit handler { after "${after}"; goal "Serve ${route}, not $${HOME}."; creates "${path}"; }
    unit docs { needs handler; goal "Describe ${route}."; writes "docs/${route}.md"; }
}
feature f {
    unit schema { goal s; creates "db.rs"; }
    use endpoint as=csv path="src/csv.rs" route="orders" { after schema; }
    use endpoint as=json path="src/json.rs" route="all" { after; }
    unit last { goal l; creates "last"; after csv; needs "json/docs"; }
}
"#,
    );
    assert_eq!(ids(&plan), ["schema", "csv/handler", "csv/docs", "json/handler", "json/docs", "last"]);
    let handler = unit(&plan, "csv/handler");
    assert_eq!(handler.goal.as_ref().map(|goal| goal.value.as_str()), Some("Serve orders, not ${HOME}."));
    assert_eq!(handler.creates[0].value.as_str(), "src/csv.rs");
    assert_eq!(names(&plan, &handler.after), ["schema"]);
    assert!(unit(&plan, "json/handler").after.is_empty(), "a list without a value leaves nothing behind");
    assert_eq!(names(&plan, &unit(&plan, "csv/docs").needs), ["csv/handler"]);
    assert_eq!(unit(&plan, "csv/docs").writes[0].value.as_str(), "docs/orders.md");
    assert_eq!(names(&plan, &unit(&plan, "last").after), ["csv/handler", "csv/docs"]);
    assert_eq!(names(&plan, &unit(&plan, "last").needs), ["json/docs"]);
}

#[test]
fn what_is_wrong_in_a_template_is_told_once_with_a_use() {
    let plan = "template t {
    param name type=name
    unit work { goal \"Do ${nam}.\"; creates \"a/${name}\"; verify tset; }
}
feature f {
    use t as=a name=x
    use t as=b name=y
    unit last { goal g; creates l; needs \"a/work\"; }
}
";
    assert_eq!(
        told(plan),
        "3:26: error[L0112/invalid-placeholder]: `${nam}` names no parameter of this template
"
    );
    let plan = plan.replace("${nam}", "${name}");
    let found = compiled(&[("p.loop.kdl", &plan)]);
    let shown = human(&found.diagnostics, &found.map, Style::PLAIN);
    assert_eq!(found.diagnostics.len(), 1, "{shown}");
    assert!(
        shown.contains("expanded here, as `a`") && shown.contains("the same is found once more"),
        "{shown}"
    );
}

#[test]
fn names_keep_to_where_they_are_written() {
    // `schema` is a unit of the plan, of `outer`, and of `inner`; each `needs` means the one of its own place.
    let plan = good(
        r#"template inner {
    param first type=name
    unit schema { goal "Inner."; creates "${first}/i"; }
    unit work { needs schema "${first}"; goal "Work."; creates "${first}/w"; }
    unit free { needs top; goal "Free."; creates "${first}/f"; }
}
template outer {
    param wait type=list
    unit schema { goal "Outer."; creates o; }
    unit top { goal "Outer's top."; creates t; }
    use inner as=deep first=schema
    unit end { needs "${wait}" deep "deep/work"; goal "End."; creates e; accept "seen" by=look; }
    manual look { needs schema; step "Look."; }
}
feature f {
    unit schema { goal "Plan's."; creates p; }
    unit top { goal "Plan's top."; creates q; }
    use outer as=x { wait schema; }
}
"#,
    );
    let needs = |id: &str| names(&plan, &unit(&plan, id).needs);
    assert_eq!(needs("x/deep/work"), ["x/deep/schema", "x/schema"], "a name that is given means the giver's");
    assert_eq!(
        needs("x/deep/free"),
        ["top"],
        "what a template does not define is the plan's, not its user's"
    );
    assert_eq!(needs("x/end"), ["schema", "x/deep/schema", "x/deep/work", "x/deep/free"]);
    assert_eq!(needs("x/look"), ["x/schema"]);
    let by = &unit(&plan, "x/end").accept[0].by;
    assert!(
        matches!(by[..], [crate::plan::By::Manual(manual)] if plan.units[manual.0 as usize].id.value == "x/look")
    );
}

#[test]
fn an_id_may_come_from_a_parameter_and_is_found_by_what_is_written() {
    let plan = good(
        r#"template t {
    param name type=name
    unit "${name}" { goal g; creates "${name}.rs"; }
    unit "${name}-docs" kind="${name}" { needs "${name}"; goal d; creates "${name}.md"; }
    unit last { needs "${name}-docs"; goal l; creates "${name}.end"; }
}
feature f {
    unit api { goal a; creates a; }
    use t as=one name=api
}
"#,
    );
    assert_eq!(ids(&plan), ["api", "one/api", "one/api-docs", "one/last"]);
    assert_eq!(names(&plan, &unit(&plan, "one/api-docs").needs), ["one/api"]);
    assert_eq!(unit(&plan, "one/api-docs").kind, "api");
    assert_eq!(names(&plan, &unit(&plan, "one/last").needs), ["one/api-docs"]);
}

#[test]
fn values_keep_their_type() {
    let plan = good(
        r##"template t {
    param tries type=number default=2
    param items type=list
    param after type=list default=""
    param say type=text default=#"a "quoted" \word"#
    unit a {
        goal "${say}: ${items} in ${tries}"
        after "${after}"
        writes "${items}" "more"
        retry attempts="${tries}"
        budget tokens="${tries}"
        verify test filter="${say}"
        accept "it runs" { run check "${items}" --times "${tries}" "--last=${items}"; exit "${tries}"; }
        prompt #"""
            Raw ${say}, and $${say}.
            """#
    }
}
feature f { use t as=u { items x "y z"; }; use t as=v tries=7 { items; after "u/a"; } }
"##,
    );
    let one = unit(&plan, "u/a");
    assert_eq!(one.goal.as_ref().map(|goal| goal.value.as_str()), Some("a \"quoted\" \\word: x y z in 2"));
    let writes: Vec<&str> = one.writes.iter().map(|pattern| pattern.value.as_str()).collect();
    assert_eq!(writes, ["x", "y z", "more"]);
    assert_eq!((one.retry.attempts, one.budget.tokens), (2, Some(2)));
    assert_eq!(one.prompt[0].text, "Raw a \"quoted\" \\word, and ${say}.");
    let crate::plan::PredicateKind::Command(check) = &one.accept[0].predicates[0].kind else {
        panic!("a command")
    };
    let crate::plan::Command::Run(words) = &check.command else { panic!("words") };
    assert_eq!(words, &["check", "x", "y z", "--times", "2", "--last=x y z"]);
    assert_eq!(check.exit, [2]);
    assert_eq!(one.verify[0].arguments[0].1, ["a \"quoted\" \\word"]);
    let other = unit(&plan, "v/a");
    assert_eq!((other.retry.attempts, other.writes.len()), (7, 1));
    let money = told(
        "template t {\n param m type=number default=1.5\n unit a { goal g; writes; budget usd=\"${m}\"; retry attempts=\"${m}\"; }\n}\nfeature f { use t as=u; }\n",
    );
    assert!(money.contains("L0604/budget-impossible"), "the amount was read: {money}");
    assert!(money.contains("L0103/wrong-type]: `attempts=` takes a whole number from 1 to 100"), "{money}");
}

#[test]
fn relative_paths_count_from_where_they_are_written() {
    let files = [
        (
            "p.loop.kdl",
            "import \"./lib/deep/t.loop.kdl\" t\nfeature f { use t as=u file=\"./a.md\" text=\"./b.md\" glob=\"./c[1]/*\"; }\n",
        ),
        (
            "lib/deep/t.loop.kdl",
            r#"import "../inner.loop.kdl" inner
template t {
    param file type=path
    param text type=text
    param glob type=glob
    param own type=path default="./own.md"
    unit a {
        goal g
        ref "./here.md" "${file}" "${text}" "${own}"
        writes "${glob}" "./gen/${file}" "${text}"
        accept "x" { matches "${text}" "x"; }
    }
    use inner as=in file="${file}" also="./${file}" text="${text}" mine="./mine.md"
}
"#,
        ),
        (
            "lib/inner.loop.kdl",
            r#"template inner {
    param file type=path
    param also type=path
    param text type=text
    param mine type=text
    unit b { goal g; ref "${file}" "${also}" "${text}" "${mine}" "./near.md"; writes; }
}
"#,
        ),
    ];
    let compiled = compiled(&files);
    let shown = short(&compiled.diagnostics, &compiled.map);
    // The files do not exist; how they are called is what is asked here.
    let mut paths: Vec<&str> =
        shown.lines().filter_map(|line| line.split("names a file that").next()?.split('`').nth(1)).collect();
    paths.sort_unstable();
    paths.dedup();
    for path in [
        "a.md",
        "b.md",
        "lib/deep/here.md",
        "lib/deep/own.md",
        "lib/deep/a.md",
        "lib/deep/mine.md",
        "lib/near.md",
    ] {
        assert!(paths.contains(&path), "{path} in {shown}");
    }
}

/// Plans with one mistake or few, and every word that is said about them.
#[test]
fn mistakes_around_templates_are_told_where_they_are() {
    for (plan, says) in [
        // Ids of uses.
        (
            "template t { unit a { goal g; writes; }; }\nfeature f { use t; use t as=\"x/y\"; use t as=é; use as=q; unit u { goal g; writes; needs \"x/y\" q \"q/a\"; }; }\n",
            "2:13: error[L0104/missing-argument]: `use` lacks `as=`
2:29: error[L0202/invalid-id]: `x/y` cannot be an id: `/` is made only by `use`
2:45: error[L0202/invalid-id]: `é` cannot be an id: it holds `é`
2:48: error[L0104/missing-argument]: `use` lacks a template's name
",
        ),
        // A template is no unit; ids of units and uses are one name space.
        (
            "template t { unit a { goal g; writes; }; }\nfeature f { use a as=x; unit t { goal g; writes; }; use t as=t; use t as=y; use t as=y; unit u { goal g; writes; needs t; after y z; }; }\n",
            "2:17: error[L0210/unknown-template]: no template is called `a`
2:62: error[L0201/duplicate-id]: a unit or use called `t` exists already
2:86: error[L0201/duplicate-id]: a unit or use called `y` exists already
2:131: error[L0203/unknown-unit]: no unit is called `z`
",
        ),
        // Circles, told once, and nothing that only follows from them.
        (
            "template t { use t as=again; unit a { goal g; writes; }; }\nfeature f { use t as=x; unit u { goal g; writes; needs \"x/a\" \"x/again/a\"; }; }\n",
            "1:14: error[L0211/recursive-template]: the template `t` uses itself\n",
        ),
        (
            "template a { use b as=x; unit u { goal g; writes; }; }\ntemplate b { use c as=x; }\ntemplate c { use a as=x; }\ntemplate d { use c as=x; }\nfeature f { use d as=x; use a as=y; unit u { goal g; writes; needs \"x/u\"; }; }\n",
            "3:14: error[L0211/recursive-template]: templates use each other: a -> b -> c -> a\n",
        ),
        // Parameters.
        (
            "template t { param as; param x; param x; unit a { goal \"${x} ${as}\"; writes; }; }\nfeature f { use t as=x x=a; }\n",
            "1:20: error[L0202/invalid-id]: a parameter cannot be called `as`
1:39: error[L0201/duplicate-id]: a parameter called `x` exists already
1:62: error[L0112/invalid-placeholder]: `${as}` names no parameter of this template
",
        ),
        (
            "template t { param l type=list; unit a { goal \"${l}\"; writes; unknown \"${l}\"; }; unit \"${l}\" { goal g; writes; }; }\nfeature f { use t as=x { l a; }; }\n",
            "1:47: error[L0103/wrong-type]: `goal` takes one value, and `l` is a list
1:63: error[L0101/unknown-node]: `unit` takes no node `unknown`
1:87: error[L0103/wrong-type]: `unit` takes one value, and `l` is a list
",
        ),
        (
            "template t { param x; unit a { goal \"${x\"; writes \"${\" \"a$${x\" \"${}\" \"${ x }\" \"${X}\"; }; }\nfeature f { use t as=x x=a; }\n",
            "1:38: error[L0112/invalid-placeholder]: this `${` is not closed: the name of a parameter and `}` must follow
1:52: error[L0112/invalid-placeholder]: this `${` is not closed: the name of a parameter and `}` must follow
1:65: error[L0112/invalid-placeholder]: `${}` names no parameter of this template
1:71: error[L0112/invalid-placeholder]: `${ x }` names no parameter of this template
1:80: error[L0112/invalid-placeholder]: `${X}` names no parameter of this template
",
        ),
        (
            "template t { param x default=\"${y}\"; param y default=\"$${z}\"; unit a { goal \"${x}${y}\"; writes; }; }\nfeature f { use t as=x; }\n",
            "1:30: error[L0112/invalid-placeholder]: a default is a plain value\n",
        ),
        // What a use gives.
        (
            "template t { param x type=list; param y type=name; param n type=number; unit a { goal \"${x} ${y} ${n}\"; writes; }; }\nfeature f { use t as=a; use t as=b y=a n=1 x=c; use t as=c y=a n=\"1\" { x a, b; }; unit u { goal g; writes; needs \"a/a\" b \"c/a\"; }; }\n",
            "2:13: error[L0104/missing-argument]: the template `t` must be given `x` and `y` and `n`
2:66: error[L0103/wrong-type]: the parameter `n` takes a number
2:74: error[L0108/punctuation-in-name]: the comma became part of the value
",
        ),
        (
            "template t { param x type=list; param y type=name; unit a { goal \"${x} ${y}\"; writes; }; }\nfeature f { use t as=d y=\"a b\" z=2 { x; y q; w 1; }; use t as=e y=a y=b x=1; use t as=g y=a x=c { x d; }; }\n",
            "2:32: error[L0102/unknown-property]: the template `t` has no parameter `z`
2:41: error[L0103/wrong-type]: the parameter `y` takes one value
2:41: error[L0105/duplicate-node]: the parameter `y` is given twice
2:46: error[L0102/unknown-property]: the template `t` has no parameter `w`
2:69: error[L0105/duplicate-node]: the property `y` stands twice
2:99: error[L0105/duplicate-node]: the parameter `x` is given twice
",
        ),
        // What a template may hold.
        (
            "template t {}\ntemplate v { gate g { }; defaults {}; template w { unit a { goal g; }; }; unit a { goal g; writes; }; }\nfeature f { use t as=x; use v as=z; template q { unit a { goal g; }; }; }\n",
            "1:1: error[L0104/missing-argument]: the template `t` makes nothing
2:14: error[L0101/unknown-node]: `gate` may not stand in `template`
2:26: error[L0101/unknown-node]: `defaults` may not stand in `template`
2:39: error[L0101/unknown-node]: `template` may not stand in `template`
3:37: error[L0101/unknown-node]: `template` may not stand in `feature`
",
        ),
        (
            "template t { unit a { goal g; writes; }; unit a { goal h; writes; }; use s as=a; }\ntemplate s { unit b { goal g; writes; needs c d; accept x by=nobody; }; unit cc { goal g; writes; }; }\nfeature f { use t as=x; use s as=y; use s as=z; }\n",
            "1:47: error[L0201/duplicate-id]: a unit called `a` exists already
1:79: error[L0201/duplicate-id]: a unit called `a` exists already
2:45: error[L0203/unknown-unit]: no unit is called `c`
2:47: error[L0203/unknown-unit]: no unit is called `d`
2:62: error[L0204/unknown-verifier]: no verifier is called `nobody`
",
        ),
        // Values that are wrong in the place where they end up.
        (
            "template t { param kind default=code; param e default=\"\"; param r default=high; unit a kind=\"${kind}\" effort=\"${r}\" { goal \"${e}\"; writes; timeout total=\"${r}\"; }; }\nfeature f { use t as=x e=a; use t as=y kind=\"a b\" r=low; }\n",
            "1:93: error[L0202/invalid-id]: `a b` cannot be an id: it holds a space
1:124: error[L0103/wrong-type]: `goal` takes a text
1:154: error[L0103/wrong-type]: `total=` takes a time like \"1h30m\"
",
        ),
        // In a feature with gates a use stands in a gate, and what a use made is no verifier.
        (
            "template t { unit a { goal g; writes; }; }\nfeature f { gate g { use t as=x; }; use t as=y; gate h { unit c { goal g; writes; needs x y; accept t by=x; }; }; }\n",
            "2:37: error[L0101/unknown-node]: this `use` stands outside the gates of its feature
2:106: error[L0204/unknown-verifier]: `x` is all that a `use` made, and only one thing can judge
",
        ),
        // Outside of a template nothing is replaced, and a template that is not closed makes no noise.
        ("feature f { unit u { goal \"${x} $${y} ${\"; writes; }; }\n", ""),
        (
            "template t {\n    unit a { goal g; writes\n    unit b { goal g; writes; }\n}\nfeature f { use t as=x; unit u { goal g; writes; needs \"x/b\"; }; }\n",
            "2:12: error[L0001/syntax-error]: the `{` of `unit a` is never closed\n",
        ),
        // Warnings.
        (
            "template t { param x default=a; param y default=b; unit a { goal \"${y}\"; writes; }; }\ntemplate v { unit a { goal g; writes; }; }\nfeature f { use t as=x; }\n",
            "1:20: warning[L0212/unused-parameter]: nothing in the template `t` uses its parameter `x`
2:10: warning[L0618/unused-template]: nothing uses the template `v`
",
        ),
    ] {
        assert_eq!(told(plan), says, "{plan}");
    }
}

#[test]
fn a_template_in_loop_kdl_is_told_where_it_belongs() {
    let mut sources = MemorySources::new([("p.loop.kdl", "feature f { unit a { goal g; writes; } }\n")]);
    sources.insert("loop.kdl", format!("{PROJECT}template t {{ unit a {{ goal g; writes; }} }}\n"));
    let compiled = compile(Some(Utf8Path::new("loop.kdl")), &["p.loop.kdl".into()], &sources);
    let shown = human(&compiled.diagnostics, &compiled.map, Style::PLAIN);
    assert!(shown.contains("`template` may not stand in loop.kdl"), "{shown}");
    assert!(shown.contains("`template` stands in a plan"), "{shown}");
}

#[test]
fn a_near_name_is_looked_for_in_the_template_first() {
    let found = compiled(&[(
        "p.loop.kdl",
        "template t { unit handler { goal g; writes; }; unit b { needs handlr; goal g; writes; }; }\nfeature f { use t as=x; use t as=y; }\n",
    )]);
    let [one] = found.diagnostics.as_slice() else { panic!("{:?}", found.diagnostics) };
    assert_eq!(one.fixes[0].edits[0].text, "handler");
    assert_eq!(
        one.help.last().map(String::as_str),
        Some("the same is found once more, where the template is used again")
    );
    assert_eq!(one.labels.len(), 1);
}

#[test]
fn what_expansions_have_in_common_is_told_once_and_what_they_have_not_each_time() {
    let plan = "template t { param p type=glob; unit a { goal g; writes \"${p}\" x; }; }
feature f { use t as=a p=one; use t as=b p=two; use t as=c p=one; unit z { goal g; writes two; }; }
";
    let found = compiled(&[("p.loop.kdl", plan)]);
    let messages: Vec<&str> = found.diagnostics.iter().map(|found| found.message.as_str()).collect();
    assert_eq!(messages.len(), 3, "{messages:?}");
    for path in ["`one`", "`two`", "`x`"] {
        assert_eq!(messages.iter().filter(|message| message.contains(path)).count(), 1, "{messages:?}");
    }
    assert!(found.diagnostics.iter().all(|found| found.fixes.is_empty() || found.primary.span.start > 90));
}

#[test]
fn templates_come_from_files_and_a_circle_of_files_is_told() {
    let told = |files: &[(&str, &str)]| {
        let compiled = compiled(files);
        short(&compiled.diagnostics, &compiled.map)
    };
    let plan = "import \"./a.loop.kdl\" mine=outer\nfeature f { use mine as=x; }\n";
    let a = "import \"./b.loop.kdl\" inner\ntemplate outer { use inner as=i; }\n";
    let b = "template inner { unit u { goal g; writes; } }\n";
    assert_eq!(told(&[("p.loop.kdl", plan), ("a.loop.kdl", a), ("b.loop.kdl", b)]), "");
    let unseen = "feature f { use outer as=x; use inner as=y; }\n";
    assert_eq!(
        told(&[
            ("p.loop.kdl", &format!("import \"./a.loop.kdl\" outer\n{unseen}")),
            ("a.loop.kdl", a),
            ("b.loop.kdl", b)
        ]),
        "p.loop.kdl:2:33: error[L0210/unknown-template]: no template is called `inner`\n",
        "only what is listed arrives"
    );
    let back = format!("import \"./a.loop.kdl\" outer\n{}", b.replace("unit u", "use outer as=o; unit u"));
    let circle = told(&[("p.loop.kdl", plan), ("a.loop.kdl", a), ("b.loop.kdl", &back)]);
    assert_eq!(
        circle,
        "b.loop.kdl:1:8: error[L0208/import-cycle]: files import each other: a.loop.kdl -> b.loop.kdl -> a.loop.kdl\n"
    );
}

#[test]
fn much_is_made_in_time_that_grows_with_it_and_too_much_is_refused() {
    let template = "template t { param n type=name; unit a { goal \"${n}\"; writes \"src/${n}\"; }; unit b { needs a; goal b; creates \"docs/${n}\"; }; }\n";
    let uses: String = (0..10_000).map(|at| format!("use t as=u{at} n=n{at}\n")).collect();
    let plan = good(&format!("{template}feature f {{\n{uses}}}\n"));
    assert_eq!(plan.units.len(), 20_000);
    assert_eq!(plan.units[19_999].id.value, "u9999/b");
    // A few lines that double: units, and texts.
    let chain = |inside: &dyn Fn(usize) -> String| -> String {
        (0..70).map(|at| format!("template t{at} {{ {} }}\n", inside(at))).collect()
    };
    let units = chain(&|at| format!("use t{} as=a; use t{} as=b;", at + 1, at + 1));
    let end = "template t70 { unit a { goal g; writes; }; }\nfeature f { use t0 as=x; unit u { goal g; writes; needs \"x/a\"; }; }\n";
    let doubled = told(&format!("{units}{end}"));
    assert!(doubled.starts_with("72:13: error[L0113/expansion-too-large]"), "{doubled}");
    assert_eq!(doubled.lines().count(), 1, "{doubled}");
    let texts = chain(&|at| format!("param x; use t{} as=a x=\"${{x}}${{x}}\";", at + 1));
    let end = "template t70 { param x; unit a { goal \"${x}\"; writes; }; }\nfeature f { use t0 as=x x=abcdefgh; }\n";
    let doubled = told(&format!("{texts}{end}"));
    assert!(
        doubled.starts_with("72:13: error[L0113/expansion-too-large]: templates make more than 16 MiB"),
        "{doubled}"
    );
    // Deep, and harmless but for the ids.
    let deep: String = (0..5_000).map(|at| format!("template t{at} {{ use t{} as=a; }}\n", at + 1)).collect();
    let end = "template t5000 { unit a { goal g; writes; }; }\nfeature f { use t0 as=x; use t4990 as=y; }\n";
    let deep = told(&format!("{deep}{end}"));
    assert!(deep.contains("error[L0202/invalid-id]: the ids that this makes would be too long"), "{deep}");
    assert_eq!(deep.lines().count(), 1, "{deep}");
}

/// A plan that uses a template, and the same written out with `.` in place of `/`.
fn both_ways(units: &[(u8, Vec<usize>, bool)], uses: &[(u8, bool)]) -> (String, String) {
    let body = |id: &dyn Fn(usize) -> String, name: &str, n: (&str, &str), after: &str| -> String {
        let mut out = String::new();
        for (at, (kind, needs, waits)) in units.iter().enumerate() {
            let before = needs.iter().filter(|other| **other < at);
            let needs: String = before.map(|other| format!(" needs {};", id(*other))).collect();
            let after = if *waits && !after.is_empty() { format!(" after {after};") } else { String::new() };
            let scope = match kind % 3 {
                0 => format!("creates \"src/{name}/{at}.rs\""),
                1 => format!("writes \"docs/{name}{at}/**\"; inputs \"specs/{name}.md\""),
                _ => format!(
                    "creates \"made/{name}/{at}\"; accept \"{name}\" {{ exists \"made/{name}/{at}\"; }}"
                ),
            };
            let (id, (n, text)) = (id(at), n);
            out.push_str(&format!(
                "    unit {id} {{ goal \"Do {name}, {text} times, for $.\";{needs}{after} {scope}; retry attempts={n}; }}\n"
            ));
        }
        out
    };
    let inside = body(&|at| format!("part{at}"), "${name}", ("\"${n}\"", "${n}"), "\"${after}\"");
    let params = "    param name type=name\n    param n type=number\n    param after type=list\n";
    let (mut short, mut long) = (String::new(), String::new());
    for (at, (n, waits)) in uses.iter().enumerate() {
        let n = (n % 9 + 1).to_string();
        let after = if *waits { "first" } else { "" };
        short.push_str(&format!("    use t as=x{at} name=word{at} n={n} {{ after {after}; }}\n"));
        long.push_str(&body(&|part| format!("x{at}.part{part}"), &format!("word{at}"), (&n, &n), after));
    }
    let feature = |inside: &str, last: &str| {
        let first = "    unit first { goal f; creates first; }\n";
        format!("feature f {{\n{first}{inside}    unit last {{ goal l; creates last; needs {last}; }}\n}}\n")
    };
    let used = uses.len() - 1;
    // Nothing of it is left without a wait: then the parameter is not used, and that is a warning of its own.
    let waits = units.iter().any(|(_, _, waits)| *waits);
    let (params, short) = match waits {
        true => (params.to_owned(), short),
        false => (
            params.replace("    param after type=list\n", ""),
            short.replace(" { after first; }", "").replace(" { after ; }", ""),
        ),
    };
    let short = feature(&short, &format!("\"x{used}/part0\""));
    (format!("template t {{\n{params}{inside}}}\n{short}"), feature(&long, &format!("x{used}.part0")))
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

    #[test]
    fn expanding_is_writing_out(
        units in proptest::collection::vec(
            (0_u8..3, proptest::collection::vec(0_usize..5, 0..3), proptest::bool::ANY), 1..5),
        uses in proptest::collection::vec((0_u8..9, proptest::bool::ANY), 1..5),
    ) {
        let (short, long) = both_ways(&units, &uses);
        let graph = |plan: &str| {
            let graph = crate::graph::build(&good(plan));
            let edges: Vec<String> = graph.edges.iter().map(|edge| format!("{edge:?}")).collect();
            let nodes: Vec<String> = graph.nodes.iter().map(|node| format!("{node:?}")).collect();
            (nodes.join("\n"), edges.join("\n"))
        };
        // A node holds the digest of what it asks for, so equal nodes have equal keys.
        let ((nodes, edges), (written, edges_written)) = (graph(&short), graph(&long));
        let dots = |text: &str| (0..uses.len()).fold(text.to_owned(), |text, at| text.replace(&format!("x{at}/"), &format!("x{at}.")));
        proptest::prop_assert_eq!(dots(&nodes), written, "{}\n{}", short, long);
        proptest::prop_assert_eq!(dots(&edges), edges_written);
    }
}

#[test]
fn levels_of_rules_hold_for_what_a_template_makes() {
    let plan = |feature: &str, unit: &str| {
        format!(
            "template t {{ unit a {{ goal g; writes; accept \"it is nice\"; {unit} }}; }}\nfeature f {{ use t as=x; {feature} }}\n"
        )
    };
    let told_of = "1:39: error[L0501/unverified-criterion]: nothing checks the criterion \"it is nice\"\n";
    assert_eq!(told(&plan("", "")), told_of);
    let allow = "lint unverified-criterion level=allow reason=\"taste\";";
    assert_eq!(told(&plan("", allow)), "");
    assert_eq!(told(&plan(&format!("defaults {{ {allow} }};"), "")), "");
}
