//! Looks at a component before anything of it is compiled: is it of this contract, and is it built like a plugin rather
//! than to keep the compiler busy. Reads each byte once and keeps nothing.

use wasmparser::{CompositeInnerType, FunctionBody, Parser, Payload, TypeSectionReader};

use super::failed::LoadError;
use crate::egress::shortened;
use crate::limits::{
    COMPONENT_BYTES, COMPONENT_FUNCTIONS, COMPONENT_PARTS, COMPONENT_WORK, FUNCTION_BYTES, FUNCTION_LOCALS,
    FUNCTION_SIGNATURE, FUNCTION_WORK,
};
use crate::plugin::{check_exports, check_imports, check_preamble};

/// Names at the component's outside that are kept for a message; the contract has six.
const NAMES: usize = 64;

/// What was counted so far.
#[derive(Debug, Default)]
struct Counted {
    /// How deep inside the component: 0 is the component itself.
    depth: usize,
    parts: usize,
    functions: usize,
    work: u64,
    imports: Vec<String>,
    exports: Vec<String>,
}

/// Refuses what is not a component of this contract, and what would take longer to compile than a plugin can.
pub fn examine(bytes: &[u8]) -> Result<(), LoadError> {
    check_preamble(bytes)?;
    if bytes.len() > COMPONENT_BYTES {
        return Err(over("bytes", bytes.len() as u64, COMPONENT_BYTES as u64));
    }
    let mut counted = Counted::default();
    let mut refused = None;
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload.map_err(|error| invalid(&error))?;
        // What it is matters more to its owner than how large it is: a component of another world is called that.
        match counted.count(payload) {
            Err(error @ LoadError::OverLimit { .. }) => {
                refused.get_or_insert(error);
            }
            other => other?,
        }
    }
    check_exports(counted.exports)?;
    check_imports(&counted.imports)?;
    refused.map_or(Ok(()), Err)
}

impl Counted {
    fn count(&mut self, payload: Payload<'_>) -> Result<(), LoadError> {
        match payload {
            Payload::Version { .. } => {
                self.depth += 1;
                self.parts += 1;
                within("nested modules and components", self.parts, COMPONENT_PARTS)?;
            }
            Payload::End(_) => self.depth = self.depth.saturating_sub(1),
            Payload::ComponentImportSection(imports) if self.depth == 1 => {
                for import in imports {
                    let import = import.map_err(|error| invalid(&error))?;
                    keep(&mut self.imports, import.name.name);
                }
            }
            Payload::ComponentExportSection(exports) if self.depth == 1 => {
                for export in exports {
                    let export = export.map_err(|error| invalid(&error))?;
                    keep(&mut self.exports, export.name.name);
                }
            }
            Payload::TypeSection(types) => signatures(types)?,
            Payload::CodeSectionEntry(body) => self.function(&body)?,
            _ => {}
        }
        Ok(())
    }

    fn function(&mut self, body: &FunctionBody<'_>) -> Result<(), LoadError> {
        self.functions += 1;
        within("functions", self.functions, COMPONENT_FUNCTIONS)?;
        let bytes = body.range().len();
        within("bytes in one function", bytes, FUNCTION_BYTES)?;
        let mut locals = 0_u64;
        for group in body.get_locals_reader().map_err(|error| invalid(&error))? {
            let (count, _) = group.map_err(|error| invalid(&error))?;
            locals = locals.saturating_add(count.into());
        }
        if locals > FUNCTION_LOCALS {
            return Err(over("variables in one function", locals, FUNCTION_LOCALS));
        }
        // A compiler follows every variable through every piece of a function.
        let work = (bytes as u64).saturating_mul(locals.max(1));
        if work > FUNCTION_WORK {
            return Err(over("bytes times variables in one function", work, FUNCTION_WORK));
        }
        self.work = self.work.saturating_add(work);
        if self.work > COMPONENT_WORK {
            return Err(over(
                "bytes times variables over all functions",
                self.work,
                COMPONENT_WORK,
            ));
        }
        Ok(())
    }
}

/// A block can have a function's type, so that a few bytes of code name any number of values.
fn signatures(types: TypeSectionReader<'_>) -> Result<(), LoadError> {
    for group in types {
        let group = group.map_err(|error| invalid(&error))?;
        for kind in group.into_types() {
            if let CompositeInnerType::Func(function) = &kind.composite_type.inner {
                let values = function.params().len() + function.results().len();
                within("values in one signature", values, FUNCTION_SIGNATURE)?;
            }
        }
    }
    Ok(())
}

fn keep(names: &mut Vec<String>, name: &str) {
    if names.len() < NAMES {
        names.push(shortened(name));
    }
}

fn within(what: &'static str, found: usize, limit: usize) -> Result<(), LoadError> {
    match found > limit {
        true => Err(over(what, found as u64, limit as u64)),
        false => Ok(()),
    }
}

fn over(what: &'static str, found: u64, limit: u64) -> LoadError {
    LoadError::OverLimit { what, found, limit }
}

fn invalid(error: &wasmparser::BinaryReaderError) -> LoadError {
    LoadError::Invalid(shortened(error.message()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a component that has the right export, and whatever else.
    fn with(rest: &str) -> Vec<u8> {
        let text = format!(
            r#"(component (instance $i) (export "batch-export:destination/exporter@0.1.0" (instance $i)) {rest})"#
        );
        wat::parse_str(text).expect("a component")
    }

    fn function(locals: usize, nops: usize) -> String {
        format!("(func (local {}) {})", "i64 ".repeat(locals), "nop ".repeat(nops))
    }

    fn module(functions: &str) -> Vec<u8> {
        with(&format!("(core module {functions})"))
    }

    #[test]
    fn what_would_keep_a_compiler_busy_is_refused_unseen() {
        let nested = "(component ".repeat(40) + &")".repeat(40);
        let cases: [(&str, Vec<u8>, &str); 9] = [
            (
                "variables",
                module(&function(1_001, 1)),
                "1,001 variables in one function, and the limit is 1,000",
            ),
            (
                "variables of no size in the file",
                many_locals(module("(func (local i32) (local i64) (local i32))")),
                "variables in one function, and the limit is 1,000",
            ),
            (
                "a long function",
                module(&function(0, 300_000)),
                "bytes in one function, and the limit is 262,144",
            ),
            (
                "both",
                module(&function(900, 100_000)),
                "bytes times variables in one function, and the limit is 32,000,000",
            ),
            (
                "many of both",
                module(&function(900, 30_000).repeat(40)),
                "bytes times variables over all functions, and the limit is 1,000,000,000",
            ),
            (
                "many functions",
                module(&"(func)".repeat(40_001)),
                "40,001 functions, and the limit is 40,000",
            ),
            (
                "a wide signature",
                module(&format!("(type (func (param {})))", "i32 ".repeat(129))),
                "129 values in one signature, and the limit is 128",
            ),
            (
                "many modules",
                with(&"(core module)".repeat(40)),
                "33 nested modules and components, and the limit is 32",
            ),
            (
                "deep components",
                with(&nested),
                "33 nested modules and components, and the limit is 32",
            ),
        ];
        for (name, bytes, expect) in cases {
            let error = examine(&bytes).expect_err(name).to_string();
            assert!(error.contains(expect), "{name}: {error}");
        }
        let mut large = with("");
        large.resize(COMPONENT_BYTES + 1, 0);
        let error = examine(&large).expect_err("large").to_string();
        assert!(
            error.contains("33,554,433 bytes, and the limit is 33,554,432"),
            "{error}"
        );
        let usual = module(&function(100, 40_000).repeat(3));
        examine(&usual).expect("within every limit");
    }

    /// One group of four thousand million variables takes six bytes.
    fn many_locals(mut bytes: Vec<u8>) -> Vec<u8> {
        // Three groups of one become one group, with a count that takes five bytes.
        let groups = [3, 1, 0x7f, 1, 0x7e, 1, 0x7f];
        let at = bytes.windows(groups.len()).position(|found| found == groups);
        let at = at.expect("the groups");
        bytes[at..at + 7].copy_from_slice(&[1, 0xff, 0xff, 0xff, 0xff, 0x0f, 0x7f]);
        bytes
    }

    #[test]
    fn what_it_is_comes_before_how_large_it_is() {
        let bomb = function(4_000, 1);
        let nobody = wat::parse_str(format!("(component (core module {bomb}))")).expect("wat");
        assert!(matches!(examine(&nobody), Err(LoadError::NoExporter { .. })));
        let greedy = with(&format!(
            r#"(import "wasi:cli/stdin@0.2.0" (instance)) (core module {bomb})"#
        ));
        assert!(matches!(examine(&greedy), Err(LoadError::ExtraImports { .. })));
        let inner = r#"(component (import "a" (func)) (export "b" (func 0)))"#;
        examine(&with(inner)).expect("names inside are nobody's business");
    }

    #[test]
    fn names_are_bounded_in_number_and_length() {
        let long = "x".repeat(5_000);
        let many: String = (0..1_000).map(|n| format!(r#"(import "n{n}" (func))"#)).collect();
        let bytes = with(&format!(r#"(import "{long}" (func)) {many}"#));
        let error = examine(&bytes).expect_err("imports").to_string();
        assert!(error.len() < 10_000, "{} bytes", error.len());
    }
}
