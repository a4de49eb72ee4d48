//! How new bodies are encrypted, and how encrypted ones are opened.
//!
//! What an object is encrypted with travels with its bytes: a [`NewEncryption`] is given where the
//! bytes begin ([`Store::begin_content_as`]), and what is written says itself how
//! it is encrypted when an object or part is made of it. So a record can never say otherwise than its
//! bytes are.

use oncilla_keys::{CustomerKey, DataKey, Keys, KeysError, KmsKey, WrappedKey};

use crate::content::kept_bytes;
use crate::fault::Fault;
use crate::multipart::Upload;
use crate::rows::codec::UnknownFields;
use crate::rows::encryption::{Encryption, Scheme};
use crate::rows::object::ObjectRecord;
use crate::rows::part::PartRecord;
use crate::store::Store;

/// How a new object is to be encrypted.
#[derive(Clone, Debug)]
pub enum EncryptionChoice {
    /// By the server's key (SSE-S3).
    S3,
    /// By a KMS key (SSE-KMS).
    Kms {
        /// Its id, alias or ARN; `None` for the default one.
        key: Option<String>,
        /// The encryption context, as JSON with sorted keys; empty for none.
        context: String,
        /// Whether a bucket key was asked for.
        bucket_key: bool,
    },
    /// By a key of the client's (SSE-C).
    Customer(CustomerKey),
}

/// Longest name of a KMS key that is kept. Source: AWS KMS API reference, `KeyId`.
const KMS_KEY_NAME_BYTES_MAX: usize = 2_048;

/// The data key of a new object or upload, and what its record will say of it.
#[derive(Clone, Debug)]
pub struct NewEncryption {
    pub(crate) data_key: DataKey,
    pub(crate) stored: Encryption,
    /// The name by which the KMS key was asked for; empty if it was by none.
    pub(crate) kms_key_name: String,
}

impl NewEncryption {
    /// What the record will say.
    pub fn stored(&self) -> &Encryption {
        &self.stored
    }
}

/// Why an encrypted body cannot be opened.
#[derive(Clone, Debug, thiserror::Error)]
pub enum UnlockError {
    /// It is encrypted by a key of a client's, and none came.
    #[error("the object is encrypted by a key of the client's, which is needed")]
    CustomerKeyNeeded,
    /// A client's key came, and the object is not encrypted by one.
    #[error("the object is not encrypted by a key of the client's")]
    NotByCustomerKey,
    /// It is encrypted by another key than the client's that came.
    #[error("the object is encrypted by another key")]
    OtherCustomerKey,
    /// The server's key cannot be had.
    #[error(transparent)]
    Keys(#[from] KeysError),
}

impl From<KeysError> for Fault {
    fn from(error: KeysError) -> Self {
        match error {
            KeysError::Engine(error) => error.into(),
            KeysError::Locked(_) | KeysError::Contended => Self::Unavailable(error.to_string()),
            KeysError::OpenFailed(_) | KeysError::Damaged(_) => {
                Self::Damaged(format!("a key: {error}"))
            }
            KeysError::NotFound(_)
            | KeysError::Disabled(_)
            | KeysError::Exists(_)
            | KeysError::InvalidName { .. }
            | KeysError::LimitExceeded { .. }
            | KeysError::Managed(_)
            | KeysError::Master(_)
            | KeysError::NowhereToKeep
            | KeysError::NoDefault
            | KeysError::Interrupted(_)
            | KeysError::Random(_) => Self::Failed(error.to_string()),
        }
    }
}

impl From<UnlockError> for Fault {
    fn from(error: UnlockError) -> Self {
        match error {
            UnlockError::Keys(error) => error.into(),
            UnlockError::CustomerKeyNeeded
            | UnlockError::NotByCustomerKey
            | UnlockError::OtherCustomerKey => Self::Failed(error.to_string()),
        }
    }
}

/// Checks that a client's key came exactly if one is needed, and the right one: for what tells of an
/// object without reading its body.
///
/// # Errors
/// All of [`UnlockError`] but `Keys`.
pub fn check_customer_key(
    encryption: Option<&Encryption>,
    customer: Option<&CustomerKey>,
) -> Result<(), UnlockError> {
    let by_customer = encryption.filter(|encryption| encryption.scheme == Scheme::Customer);
    match (by_customer, customer) {
        (None, None) => Ok(()),
        (None, Some(_)) => Err(UnlockError::NotByCustomerKey),
        (Some(_), None) => Err(UnlockError::CustomerKeyNeeded),
        (Some(encryption), Some(customer)) => {
            let opened = customer.unwrap(&encryption.wrapped_key);
            opened.map(drop).map_err(|_| UnlockError::OtherCustomerKey)
        }
    }
}

impl Store {
    /// The key service.
    ///
    /// # Errors
    /// `Locked` if there is none.
    pub fn keys(&self) -> Result<&Keys, KeysError> {
        let keys = self.inner.options.keys.as_ref();
        keys.ok_or_else(|| KeysError::Locked("there is no key service".to_owned()))
    }

    /// Whether everything new is encrypted, also what nobody asked to be.
    pub fn encrypts_at_rest(&self) -> bool {
        self.inner.options.encrypt_at_rest
    }

    /// A data key for a new object or upload.
    ///
    /// # Errors
    /// Those of the KMS key: `NotFound`, `Disabled`; and `Locked`, `Random`, `Engine`, `Master`.
    pub async fn new_encryption(
        &self,
        choice: &EncryptionChoice,
    ) -> Result<NewEncryption, KeysError> {
        let data_key = DataKey::random()?;
        let stored = self.protect(&data_key, choice).await?;
        let kms_key_name = match choice {
            EncryptionChoice::Kms {
                key: Some(name), ..
            } if name.len() <= KMS_KEY_NAME_BYTES_MAX => name.clone(),
            EncryptionChoice::Kms { .. } | EncryptionChoice::S3 | EncryptionChoice::Customer(_) => {
                String::new()
            }
        };
        Ok(NewEncryption {
            data_key,
            stored,
            kms_key_name,
        })
    }

    /// Whether a data key could be had by `choice` now; makes and wraps none.
    ///
    /// # Errors
    /// As [`Store::new_encryption`], but for `Random` of the data key itself.
    pub async fn check_choice(&self, choice: &EncryptionChoice) -> Result<(), KeysError> {
        let key = match choice {
            EncryptionChoice::S3 => self.keys()?.sse_s3_key().await?,
            EncryptionChoice::Kms { key, .. } => self.kms_key(key.as_deref()).await?,
            // It came with the request.
            EncryptionChoice::Customer(_) => return Ok(()),
        };
        key.check_wraps()
    }

    /// Wraps a data key as chosen.
    pub(crate) async fn protect(
        &self,
        data_key: &DataKey,
        choice: &EncryptionChoice,
    ) -> Result<Encryption, KeysError> {
        match choice {
            EncryptionChoice::S3 => {
                let key = self.keys()?.sse_s3_key().await?;
                by_kms_key(Scheme::S3, &key, data_key, "", false)
            }
            EncryptionChoice::Kms {
                key,
                context,
                bucket_key,
            } => {
                let key = self.kms_key(key.as_deref()).await?;
                by_kms_key(Scheme::Kms, &key, data_key, context, *bucket_key)
            }
            EncryptionChoice::Customer(key) => {
                let wrapped = key.wrap(data_key)?;
                Ok(encryption(Scheme::Customer, String::new(), wrapped))
            }
        }
    }

    /// The KMS key of this id, alias or ARN; the default one for `None`.
    async fn kms_key(&self, name: Option<&str>) -> Result<KmsKey, KeysError> {
        let keys = self.keys()?;
        match name {
            Some(name) => keys.find(name),
            None if !self.inner.options.default_kms_key => Err(KeysError::NoDefault),
            None => keys.default_kms_key().await,
        }
    }

    /// What the next part of an upload is encrypted with; `None` if its parts are kept as they are.
    ///
    /// # Errors
    /// See [`UnlockError`].
    pub fn upload_encryption(
        &self,
        upload: &Upload,
        customer: Option<&CustomerKey>,
    ) -> Result<Option<NewEncryption>, UnlockError> {
        let encryption = upload.record.encryption.as_deref();
        check_customer_key(encryption, customer)?;
        let Some(stored) = encryption.cloned() else {
            return Ok(None);
        };
        let data_key = self.data_key(&stored, customer)?;
        let kms_key_name = upload.record.kms_key_name.clone();
        Ok(Some(NewEncryption {
            data_key,
            stored,
            kms_key_name,
        }))
    }

    /// Unwraps the data key of an object or upload.
    pub(crate) fn data_key(
        &self,
        encryption: &Encryption,
        customer: Option<&CustomerKey>,
    ) -> Result<DataKey, UnlockError> {
        match (encryption.scheme, customer) {
            (Scheme::Customer, None) => Err(UnlockError::CustomerKeyNeeded),
            (Scheme::Customer, Some(customer)) => {
                let opened = customer.unwrap(&encryption.wrapped_key);
                opened.map_err(|_| UnlockError::OtherCustomerKey)
            }
            (Scheme::S3 | Scheme::Kms, _) => {
                let key = self.keys()?.find(&encryption.key_id)?;
                Ok(key.unwrap(&encryption.wrapped_key, &encryption.context)?)
            }
        }
    }
}

fn by_kms_key(
    scheme: Scheme,
    key: &KmsKey,
    data_key: &DataKey,
    context: &str,
    bucket_key: bool,
) -> Result<Encryption, KeysError> {
    let wrapped = key.wrap(data_key, context)?;
    Ok(Encryption {
        context: context.to_owned(),
        bucket_key,
        ..encryption(scheme, key.id().to_owned(), wrapped)
    })
}

fn encryption(scheme: Scheme, key_id: String, wrapped_key: WrappedKey) -> Encryption {
    Encryption {
        scheme,
        key_id,
        wrapped_key,
        salt: None,
        context: String::new(),
        bucket_key: false,
        unknown: UnknownFields::default(),
    }
}

impl ObjectRecord {
    /// Whether the entity tag is the MD5 of the body (or made of those of its parts).
    pub fn etag_is_md5(&self) -> bool {
        let encryption = self.encryption.as_ref();
        encryption.is_none_or(|encryption| encryption.scheme.etag_is_md5())
    }

    /// What the body takes where it is kept, in bytes.
    pub(crate) fn kept_bytes(&self) -> u64 {
        match self.encryption {
            Some(_) => kept_bytes(self.size),
            None => self.size,
        }
    }
}

impl PartRecord {
    /// What the part takes where it is kept, in bytes.
    pub(crate) fn kept_bytes(&self) -> u64 {
        match self.salt {
            Some(_) => kept_bytes(self.size),
            None => self.size,
        }
    }
}
