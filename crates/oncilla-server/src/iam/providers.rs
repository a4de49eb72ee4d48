//! Identity providers of OpenID Connect: registered, listed and removed. Their tokens are not taken
//! yet (AssumeRoleWithWebIdentity).

use oncilla_iam::{IamError, NewProvider, Provider};
use oncilla_wire::query_api::{QueryError, write_tags};
use oncilla_wire::xml::XmlWriter;

use super::call::{Call, tag_shapes};
use super::errors::of_iam;

const ARN: &str = "OpenIDConnectProviderArn";

fn owned(texts: Vec<&str>) -> Vec<String> {
    texts.into_iter().map(str::to_owned).collect()
}

fn write_list(xml: &mut XmlWriter, element: &str, texts: &[String]) {
    xml.open(element);
    for text in texts {
        xml.text("member", text);
    }
    xml.close(element);
}

/// The ARN of the provider that a request names, and the provider if there is one, once the action on
/// it is allowed.
async fn named<'f>(
    call: &'f Call<'_>,
) -> Result<(&'f str, Result<Provider, IamError>), QueryError> {
    let arn = call.form.required(ARN)?;
    let provider = call.iam.provider(call.account(), arn).await;
    let tags = provider.as_ref().map_or(&[][..], |provider| &provider.tags);
    call.authorize_tagged(arn, tags)?;
    Ok((arn, provider))
}

/// CreateOpenIDConnectProvider.
pub async fn create(call: &Call<'_>, xml: &mut XmlWriter) -> Result<(), QueryError> {
    let url = call.form.required("Url")?;
    let address = url.split_once("://").map_or(url, |(_, address)| address);
    call.authorize(&oncilla_iam::arn::provider_arn(call.account(), address))?;
    let new = NewProvider {
        url: url.to_owned(),
        client_ids: owned(call.form.list("ClientIDList")?),
        thumbprints: owned(call.form.list("ThumbprintList")?),
        tags: call.tags()?,
    };
    let created = call.iam.create_provider(call.account(), new).await;
    let created = created.map_err(of_iam)?;
    xml.text(ARN, &created.arn(call.account()));
    write_tags(xml, tag_shapes(&created.tags));
    Ok(())
}

/// GetOpenIDConnectProvider.
pub async fn get(call: &Call<'_>, xml: &mut XmlWriter) -> Result<(), QueryError> {
    let (_, provider) = named(call).await?;
    let provider = provider.map_err(of_iam)?;
    xml.text("Url", &provider.url);
    write_list(xml, "ClientIDList", &provider.client_ids);
    write_list(xml, "ThumbprintList", &provider.thumbprints);
    xml.time("CreateDate", provider.created_ms as i64);
    write_tags(xml, tag_shapes(&provider.tags));
    Ok(())
}

/// ListOpenIDConnectProviders.
pub async fn list(call: &Call<'_>, xml: &mut XmlWriter) -> Result<(), QueryError> {
    call.authorize("*")?;
    let providers = call.iam.providers(call.account()).await.map_err(of_iam)?;
    xml.open("OpenIDConnectProviderList");
    for provider in &providers {
        xml.open("member");
        xml.text("Arn", &provider.arn(call.account()));
        xml.close("member");
    }
    xml.close("OpenIDConnectProviderList");
    Ok(())
}

/// AddClientIDToOpenIDConnectProvider. It is no error if it has it.
pub async fn add_client_id(call: &Call<'_>) -> Result<(), QueryError> {
    let (arn, _) = named(call).await?;
    let id = call.form.required("ClientID")?;
    let add = |provider: &mut Provider| {
        if !provider.client_ids.iter().any(|this| this == id) {
            provider.client_ids.push(id.to_owned());
        }
    };
    let changed = call.iam.change_provider(call.account(), arn, add).await;
    changed.map_err(of_iam)
}

/// RemoveClientIDFromOpenIDConnectProvider. It is no error if it does not have it.
pub async fn remove_client_id(call: &Call<'_>) -> Result<(), QueryError> {
    let (arn, _) = named(call).await?;
    let id = call.form.required("ClientID")?;
    let remove = |provider: &mut Provider| {
        provider.client_ids.retain(|this| this != id);
    };
    let changed = call.iam.change_provider(call.account(), arn, remove).await;
    changed.map_err(of_iam)
}

/// UpdateOpenIDConnectProviderThumbprint.
pub async fn update_thumbprints(call: &Call<'_>) -> Result<(), QueryError> {
    let (arn, _) = named(call).await?;
    let thumbprints = owned(call.form.list("ThumbprintList")?);
    let update = |provider: &mut Provider| {
        provider.thumbprints.clone_from(&thumbprints);
    };
    let changed = call.iam.change_provider(call.account(), arn, update).await;
    changed.map_err(of_iam)
}

/// DeleteOpenIDConnectProvider.
pub async fn delete(call: &Call<'_>) -> Result<(), QueryError> {
    let (arn, _) = named(call).await?;
    let deleted = call.iam.delete_provider(call.account(), arn).await;
    deleted.map_err(of_iam)
}
