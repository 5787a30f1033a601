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
        "template t {\n param m type=number default=1.5\n unit a { goal g; writes; budget usd=\"${m}\" tokens=\"${m}\"; }\n}\nfeature f { use t as=u; }\n",
    );
    assert!(money.starts_with("3:54: error[L0103/wrong-type]: `tokens=` takes a whole number"), "{money}");
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
