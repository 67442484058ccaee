-- Masking: prices are shown only to sessions with perm_ViewFinancials.

-- JSON for a session that may see prices (priced), or may not: whole, or without the prices at any depth. An object
-- about a price (its key "field" names it) loses its values, and "hidden" says that there are some. What is nested more
-- than 50 deep is left out.
create function masked(data jsonb, priced boolean) returns jsonb
    language c stable security definer set search_path = pg_catalog, pg_temp
    parallel safe as 'MODULE_PATHNAME', 'masked_wrapper';
comment on function masked(jsonb, boolean) is 'JSON without the price fields, at any depth, unless priced.';

create function masked(data jsonb, organization_id text) returns jsonb
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    return masked(data, can_see(organization_id, 'perm_ViewFinancials'));
end
$$;

-- The digits and other numerals of all scripts (Unicode's categories Nd, Nl and No), as ranges of a regular expression.
-- They are listed, since a class such as [[:digit:]] depends on the locale and mostly means ASCII. ~ stands for the
-- backslash of an escape.
create function numerals() returns text
    language sql immutable security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
    select replace('0-9~u00B2-~u00B3~u00B9~u00BC-~u00BE~u0660-~u0669~u06F0-~u06F9~u07C0-~u07C9~u0966-~u096F'
        || '~u09E6-~u09EF'
        || '~u09F4-~u09F9~u0A66-~u0A6F~u0AE6-~u0AEF~u0B66-~u0B6F~u0B72-~u0B77~u0BE6-~u0BF2~u0C66-~u0C6F~u0C78-~u0C7E'
        || '~u0CE6-~u0CEF~u0D58-~u0D5E~u0D66-~u0D78~u0DE6-~u0DEF~u0E50-~u0E59~u0ED0-~u0ED9~u0F20-~u0F33~u1040-~u1049'
        || '~u1090-~u1099~u1369-~u137C~u16EE-~u16F0~u17E0-~u17E9~u17F0-~u17F9~u1810-~u1819~u1946-~u194F~u19D0-~u19DA'
        || '~u1A80-~u1A89~u1A90-~u1A99~u1B50-~u1B59~u1BB0-~u1BB9~u1C40-~u1C49~u1C50-~u1C59~u2070~u2074-~u2079'
        || '~u2080-~u2089~u2150-~u2182~u2185-~u2189~u2460-~u249B~u24EA-~u24FF~u2776-~u2793~u2CFD~u3007~u3021-~u3029'
        || '~u3038-~u303A~u3192-~u3195~u3220-~u3229~u3248-~u324F~u3251-~u325F~u3280-~u3289~u32B1-~u32BF~uA620-~uA629'
        || '~uA6E6-~uA6EF~uA830-~uA835~uA8D0-~uA8D9~uA900-~uA909~uA9D0-~uA9D9~uA9F0-~uA9F9~uAA50-~uAA59~uABF0-~uABF9'
        || '~uFF10-~uFF19~U00010107-~U00010133~U00010140-~U00010178~U0001018A-~U0001018B~U000102E1-~U000102FB'
        || '~U00010320-~U00010323~U00010341~U0001034A~U000103D1-~U000103D5~U000104A0-~U000104A9~U00010858-~U0001085F'
        || '~U00010879-~U0001087F~U000108A7-~U000108AF~U000108FB-~U000108FF~U00010916-~U0001091B'
        || '~U000109BC-~U000109BD~U000109C0-~U000109CF~U000109D2-~U000109FF~U00010A40-~U00010A48'
        || '~U00010A7D-~U00010A7E~U00010A9D-~U00010A9F~U00010AEB-~U00010AEF~U00010B58-~U00010B5F'
        || '~U00010B78-~U00010B7F~U00010BA9-~U00010BAF~U00010CFA-~U00010CFF~U00010D30-~U00010D39'
        || '~U00010D40-~U00010D49~U00010E60-~U00010E7E~U00010F1D-~U00010F26~U00010F51-~U00010F54'
        || '~U00010FC5-~U00010FCB~U00011052-~U0001106F~U000110F0-~U000110F9~U00011136-~U0001113F'
        || '~U000111D0-~U000111D9~U000111E1-~U000111F4~U000112F0-~U000112F9~U00011450-~U00011459'
        || '~U000114D0-~U000114D9~U00011650-~U00011659~U000116C0-~U000116C9~U000116D0-~U000116E3'
        || '~U00011730-~U0001173B~U000118E0-~U000118F2~U00011950-~U00011959~U00011BF0-~U00011BF9'
        || '~U00011C50-~U00011C6C~U00011D50-~U00011D59~U00011DA0-~U00011DA9~U00011DE0-~U00011DE9'
        || '~U00011F50-~U00011F59~U00011FC0-~U00011FD4~U00012400-~U0001246E~U00016130-~U00016139'
        || '~U00016A60-~U00016A69~U00016AC0-~U00016AC9~U00016B50-~U00016B59~U00016B5B-~U00016B61'
        || '~U00016D70-~U00016D79~U00016E80-~U00016E96~U00016FF4-~U00016FF6~U0001CCF0-~U0001CCF9'
        || '~U0001D2C0-~U0001D2D3~U0001D2E0-~U0001D2F3~U0001D360-~U0001D378~U0001D7CE-~U0001D7FF'
        || '~U0001E140-~U0001E149~U0001E2F0-~U0001E2F9~U0001E4F0-~U0001E4F9~U0001E5F1-~U0001E5FA'
        || '~U0001E8C7-~U0001E8CF~U0001E950-~U0001E959~U0001EC71-~U0001ECAB~U0001ECAD-~U0001ECAF'
        || '~U0001ECB1-~U0001ECB4~U0001ED01-~U0001ED2D~U0001ED2F-~U0001ED3D~U0001F100-~U0001F10C'
        || '~U0001FBF0-~U0001FBF9', '~', chr(92))
$$;

-- A text of PEMS, or one about a change. It may quote a price in any words: for a session that may not see prices, each
-- number in it becomes #. Its body is bound when it is created: the views call it with their reader's rights.
create function masked(message text, priced boolean) returns text
    language sql immutable security invoker
    return case when priced then message
                else regexp_replace(message, replace('[N]([N.,'']*[N])?', 'N', numerals()), '#', 'g') end;
comment on function masked(text, boolean) is
    'A text about a change; each number in it is shown as # unless priced.';

create function masked(message text, organization_id text) returns text
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    return masked(message, can_see(organization_id, 'perm_ViewFinancials'));
end
$$;
