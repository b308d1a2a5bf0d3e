//! `edgepost explain`: what an error's code means, what helps, and an example.

use clap::Args;
use serde_json::json;

use crate::cli::{
    Context,
    code::{self, Code},
    error::CliError,
    explanations,
    output::table,
};

/// Say what an error's code means, and what helps
#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    /// A code such as E0402; without one, all codes are listed
    code: Option<String>,
}

impl ExplainArgs {
    /// Runs the command.
    pub(super) fn run(&self, context: &Context) -> Result<(), CliError> {
        // `402` and `e402` are what people type for E0402.
        let wanted = self.code.as_deref().map(|it| {
            let number = it.trim_start_matches(['e', 'E']);
            format!("E{number:0>4}")
        });
        let codes: Vec<_> = code::ALL
            .iter()
            .filter(|code| wanted.as_deref().is_none_or(|wanted| wanted == code.id))
            .collect();
        if codes.is_empty() {
            return Err(CliError::new(code::USAGE, "there is no such code")
                .help("`edgepost explain` lists them all"));
        }
        let objects: Vec<_> = codes
            .iter()
            .map(|it| {
                let explanation = explanations::of(**it);
                json!({"code": it.id, "exit": it.exit as u8, "meaning": it.meaning,
                    "remedy": explanation.map(|it| it.remedy),
                    "example": explanation.map(|it| it.example)})
            })
            .collect();
        context.output.result(&objects, || match codes.as_slice() {
            [one] => describe(one),
            all => table(
                &["CODE", "EXIT", "MEANING"],
                all.iter().map(|it| {
                    vec![it.id.to_owned(), (it.exit as u8).to_string(), it.meaning.to_owned()]
                }),
            ),
        });
        Ok(())
    }
}

/// One code for people: cause, remedy and example.
fn describe(code: &Code) -> String {
    let cause = format!("{} (exit {})\ncause    {}", code.id, code.exit as u8, code.meaning);
    match explanations::of(*code) {
        Some(it) => format!("{cause}\nremedy   {}\nexample  {}", it.remedy, it.example),
        None => cause,
    }
}
