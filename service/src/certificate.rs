//! Faults of a server's certificate, in words. They stay until a person mends them.

use std::error::Error;

use rustls::CertificateError;

/// What is wrong with the certificate of the server that an error is about; `None` = the error is another one. `setting` is
/// the one that names a file of authorities.
pub fn fault(error: &(dyn Error + 'static), setting: &str) -> Option<String> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(rustls::Error::InvalidCertificate(fault)) = error.downcast_ref() {
            return Some(in_words(fault, setting));
        }
        // An error of TLS is wrapped in one of input and output, whose source leaves the wrapped one out.
        cause = match error.downcast_ref::<std::io::Error>().and_then(|error| error.get_ref()) {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        };
    }
    None
}

fn in_words(fault: &CertificateError, setting: &str) -> String {
    match fault {
        CertificateError::UnknownIssuer => {
            format!("its authority is not trusted here: name the authority's certificate with {setting}")
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "it has expired: the server needs a new one (or the clock of this machine is wrong)".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "it is not valid yet: the clock of this machine or of the authority is wrong".to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            format!("it is for another name than the one that is connected to ({fault}): connect to a name of the certificate")
        }
        CertificateError::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => {
            format!(
                "it is the certificate of an authority, which no server may use (CaUsedAsEndEntity): the server needs one \
                 that an authority has signed, and {setting} names the authority's"
            )
        }
        fault => format!("it is refused ({fault})"),
    }
}
