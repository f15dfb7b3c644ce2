//! [`Report`] as data, for logs and dashboards.

use serde::{Serialize, Serializer};

use super::{Gradient, Parameter, Report, Undifferentiated};

/// Serializes a report as `parameters`, an entry for each parameter, and `undifferentiated`, an entry for each place.
///
/// A parameter has `path`, `shape`, `dtype`, `receives_gradient`, `norm` and `reason`. `norm` is null where there is no gradient, and
/// `reason` is null where there is one. JSON has no number for an infinite or NaN norm, so it is null there too.
///
/// ```
/// # #[cfg(feature = "cpu")] {
/// use grad_runtime::{Array, cpu, explain};
///
/// let parameters = (cpu::Array::scalar(3.0_f32)?, cpu::Array::scalar(2.0_f32)?);
/// let report = explain::gradients(|(used, _): &(cpu::Array, cpu::Array)| used.square(), &parameters)?;
/// let json = serde_json::to_value(&report).unwrap();
/// assert_eq!(json["parameters"][0]["norm"], 6.0);
/// assert_eq!(json["parameters"][1]["reason"], "the function does not use it");
/// # }
/// # Ok::<(), grad_runtime::Error>(())
/// ```
impl Serialize for Report {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        ReportData {
            parameters: self.parameters().iter().map(ParameterData::new).collect(),
            undifferentiated: self.undifferentiated().iter().map(UndifferentiatedData::new).collect(),
        }
        .serialize(serializer)
    }
}

#[derive(Serialize)]
#[serde(rename = "Report")]
struct ReportData<'r> {
    parameters: Vec<ParameterData<'r>>,
    undifferentiated: Vec<UndifferentiatedData>,
}

#[derive(Serialize)]
#[serde(rename = "Parameter")]
struct ParameterData<'r> {
    path: &'r str,
    shape: &'r [usize],
    dtype: String,
    receives_gradient: bool,
    norm: Option<f32>,
    reason: Option<String>,
}

impl<'r> ParameterData<'r> {
    fn new(parameter: &'r Parameter) -> Self {
        let Parameter { path, shape, dtype, gradient } = parameter;
        let (norm, reason) = match gradient {
            Gradient::Received(norm) => (*norm, None),
            missing => {
                let text = missing.to_string();
                (None, Some(text.strip_prefix("no gradient: ").unwrap_or(&text).to_owned()))
            }
        };
        Self { path, shape, dtype: dtype.to_string(), receives_gradient: norm.is_some(), norm, reason }
    }
}

#[derive(Serialize)]
#[serde(rename = "Undifferentiated")]
struct UndifferentiatedData {
    op: &'static str,
    file: &'static str,
    line: u32,
    column: u32,
    arrays: usize,
    bytes: usize,
}

impl UndifferentiatedData {
    fn new(undifferentiated: &Undifferentiated) -> Self {
        let Undifferentiated { op, place, arrays, bytes } = *undifferentiated;
        Self { op, file: place.file(), line: place.line(), column: place.column(), arrays, bytes }
    }
}

#[cfg(all(test, feature = "cpu"))]
mod tests {
    use serde_json::json;

    use crate::cpu::Array;
    use crate::explain;

    #[test]
    fn a_report_has_the_fields_that_are_documented() {
        let ones = |shape: &[usize]| Array::ones(shape, crate::Dtype::Float32).unwrap();
        let parameters = (ones(&[2, 2]), ones(&[3]), Array::scalar(4.0_f32).unwrap());
        let line = line!() + 4;
        let report = explain::gradients(
            |(received, read, unused): &(Array, Array, Array)| {
                let _ = unused;
                received.exp()?;
                received.multiply(&Array::scalar(read.to_vec::<f32>()?[0])?)?.sum_all()
            },
            &parameters,
        )
        .unwrap();
        let found = serde_json::to_value(&report).unwrap();

        let parameter = |path: &str, shape: &[usize], norm: Option<f32>| {
            let receives = norm.is_some();
            json!({"path": path, "shape": shape, "dtype": "float32", "receives_gradient": receives, "norm": norm, "reason": null})
        };
        assert_eq!(found["parameters"][0], parameter("0", &[2, 2], Some(2.0)));
        let mut unused = parameter("2", &[], None);
        unused["reason"] = "the function does not use it".into();
        assert_eq!(found["parameters"][2], unused);
        let reason = found["parameters"][1]["reason"].as_str().unwrap();
        assert!(reason.starts_with("only its elements were read, at ") && reason.contains(file!()), "{reason}");

        let undifferentiated = &found["undifferentiated"];
        assert_eq!(undifferentiated.as_array().unwrap().len(), 1);
        let column = undifferentiated[0]["column"].as_u64().unwrap();
        assert!(column > 0);
        let expected =
            json!({"op": "exp", "file": file!(), "line": line, "column": column, "arrays": 1, "bytes": 16});
        assert_eq!(undifferentiated[0], expected);
        assert_eq!(found.as_object().unwrap().len(), 2);
    }

    #[test]
    fn a_norm_that_is_not_finite_is_null() {
        let x = Array::scalar(0.0_f32).unwrap();
        let report = explain::gradients(|x: &Array| x.sqrt(), &x).unwrap();
        let found = serde_json::to_value(&report).unwrap();
        assert_eq!(found["parameters"][0]["receives_gradient"], true);
        assert!(found["parameters"][0]["norm"].is_null() && found["parameters"][0]["reason"].is_null());
    }
}
