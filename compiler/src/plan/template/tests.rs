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
